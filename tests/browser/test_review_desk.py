"""What a person has at the page beside single decisions: alerts of the whole slide, the number of
verified cells, the box before a signature, and the viewer's tools.
"""

import re

import pytest

from stream.events.alert import SlideAlert
from stream.events.slide_events import slide_alert_event
from stream.review.store_lessons import cells_to_review
from stream.review.web.auth import local_name
from tests.browser.conftest import ready, whole_slide
from tests.stores import STAMP

playwright = pytest.importorskip("playwright.sync_api", reason="the test extra is not installed")
expect = playwright.expect


@pytest.fixture
def desk(open_site, open_page):
    """A finished slide of 24 cells with an alert on a cell and one on the slide."""
    site = open_site()
    site.made.add(24, odd=1)
    site.made.done()
    alert = SlideAlert("excess", "urgent", 9.0, 5.0, "9 blasts of 24 cells", 9, "scanner-1")
    with site.made.outbox.transaction() as tx:
        tx.add([slide_alert_event(site.made.slide.slide_id, alert, STAMP)])
    return site, ready(open_page(), site)


def decided(site):
    return [review.data.action for review in site.library.trail.reviews()]


def test_n_goes_to_every_alert_the_urgent_one_of_the_slide_first(desk):
    site, page = desk
    cards = page.locator("#alert-strip li")
    expect(cards).to_have_count(2)
    expect(cards.first).to_contain_text("9 blasts of 24 cells")
    page.keyboard.press("g")
    page.keyboard.press("n")
    expect(page.locator("#alert-strip li.at")).to_contain_text("9 blasts")
    expect(page.locator(".thumb[aria-selected=true]")).to_have_count(0)
    page.keyboard.press("c")  # an alert of the slide is no cell to confirm
    page.keyboard.press("a")
    expect(page.locator("#alert-strip li.whole")).to_contain_text("acknowledged by")
    page.keyboard.press("n")
    expect(page.locator(".thumb[aria-selected=true]")).to_have_count(1)
    page.keyboard.press("a")
    expect(page.locator("#alerts-told")).to_have_text("0 open of 2")
    assert decided(site) == ["acknowledge", "acknowledge"]
    assert not page.complaints


def test_the_number_of_verified_cells_follows_the_keys(desk):
    site, page = desk
    with page.expect_response("**/api/preferences"):
        page.locator("#goal").select_option("0")
    page.keyboard.press("g")
    white = int(page.locator("#white").inner_text().split()[0])
    expect(page.locator("#tally")).to_have_text("0 of")
    page.keyboard.press("1")
    page.keyboard.press("1")
    expect(page.locator("#tally")).to_have_text("2 of")
    share = str(round(100 * 2 / white))
    expect(page.locator("#tally-bar")).to_have_attribute("aria-valuenow", share)
    expect(page.locator(".thumb .mark.sent")).to_have_count(0)
    page.reload()
    expect(page.locator("#goal")).to_have_value("0")  # the person's own, kept


def test_what_to_review_next_is_the_alert_and_then_another_cell(desk):
    site, page = desk
    shelf = site.library.shelf(site.made.slide.slide_id).refresh()
    first, second, *_ = cells_to_review(shelf)
    chosen = page.locator(".thumb[aria-selected=true]")
    page.locator("#order").select_option("telling")
    page.locator("#telling").click()
    expect(chosen).to_have_attribute("data-id", first)
    page.keyboard.press("c")
    page.locator("#telling").click()
    expect(chosen).to_have_attribute("data-id", second)
    assert not page.complaints


def test_the_box_says_what_was_verified_before_it_is_signed(desk):
    site, page = desk
    page.keyboard.press("g")
    for _ in range(2):
        page.keyboard.press("1")
    expect(page.locator(".thumb .mark.sent")).to_have_count(0)
    page.locator("#see-all").click()
    expect(page.locator("#alerts-told")).to_have_text("0 open of 2")
    page.locator("#sign").click()
    row = page.locator("#verified tr", has_text="Blast")
    expect(row.locator("td").nth(3)).to_have_text("2")  # one by one
    expect(page.locator("#sign-told")).to_contain_text("fewer than 100")
    page.locator("#conclusion").fill("blasts")
    page.locator("#sign-box #again").fill(local_name())
    page.locator("#sign-box button[value=yes]").click()
    page.locator("#amend").click()
    page.locator("#reason").fill("second look")
    page.locator("#amend-box button[value=yes]").click()
    page.locator("#sign").click()
    expect(page.locator("#sign-told")).to_contain_text("second look")
    expect(page.locator("#conclusion")).to_have_value("blasts")
    assert not page.complaints


def test_a_length_is_measured_in_micrometres(desk):
    site, page = desk
    page.emulate_media(reduced_motion="reduce")
    page.reload()
    page.wait_for_selector("body[data-ready=yes] .leaflet-tile-loaded")
    whole_slide(page)
    page.locator("#measure").click()
    box = page.locator("#map").bounding_box()
    middle = box["y"] + box["height"] / 2
    for x in (box["x"] + 150, box["x"] + 250):
        page.mouse.click(x, middle)
    expect(page.locator("#length")).to_contain_text("\N{MICRO SIGN}m")
    measured = float(page.locator("#length").inner_text().split()[0])
    side_um = site.made.side_px * site.made.slide.mpp
    shown = page.evaluate(
        "[...document.querySelectorAll('.leaflet-tile')].map((t) => t.getBoundingClientRect())"
        ".reduce((a, t) => [Math.min(a[0], t.left), Math.max(a[1], t.right)], [1e9, -1e9])"
    )
    assert measured == pytest.approx(100 * side_um / (shown[1] - shown[0]), rel=0.02)


def has_outlines(canvas):
    """Whether anything is drawn above the scale bar."""
    return canvas.evaluate(
        """(canvas) => canvas.getContext('2d')
        .getImageData(0, 0, canvas.width, canvas.height - 60).data.some((value) => value)"""
    )


def test_outlines_and_tone_change_the_picture_and_nothing_else(desk):
    site, page = desk
    drawn = page.locator("canvas.boxes")
    whole_slide(page)
    expect(drawn).to_have_attribute("data-boxes", "24")
    assert has_outlines(drawn)
    page.locator("#outlined").select_option("none")
    expect(drawn).to_have_attribute("data-boxes", "0")
    assert not has_outlines(drawn)
    page.locator("#picture summary").click()
    page.locator("#picture input[name=gamma]").fill("2")
    pane = page.locator(".leaflet-tile-pane")
    expect(pane).to_have_attribute("style", re.compile("gamma-filter"))
    page.locator("#plain").click()
    expect(pane).not_to_have_attribute("style", re.compile("filter"))
    assert decided(site) == []
    assert not page.complaints


def test_reviewed_look_alikes_stand_beside_an_alert(desk):
    site, page = desk
    page.keyboard.press("g")
    page.keyboard.press("1")
    expect(page.locator(".thumb .mark.sent")).to_have_count(0)
    page.locator("#alert-strip li:not(.whole) .pick").first.click()
    card = page.locator("#alert-strip li.at")
    expect(card.locator(".alike a.figure")).to_have_count(1)
    expect(card).to_contain_text("Reviewed cells that look like it: Blast 1")
    assert not page.complaints
