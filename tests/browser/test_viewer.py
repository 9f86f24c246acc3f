"""What of the slide was seen, and comments that are pinned to a place of it."""

import re

import pytest

from stream.review.web.auth import local_name
from tests.browser.conftest import ready, whole_slide

playwright = pytest.importorskip("playwright.sync_api", reason="the test extra is not installed")
expect = playwright.expect
SOME = re.compile(r"0\.[1-9]\d*|1\.000")


@pytest.fixture
def desk(open_site, open_page):
    site, page = open_site(), open_page()
    site.made.add(3)
    site.made.done()
    ready(page, site)
    page.wait_for_selector("#pin:not([hidden])")
    return site, page


def test_what_was_on_the_screen_closely_stays_seen_after_a_reload(desk):
    site, page = desk
    whole_slide(page)
    overview = page.locator(".overview")
    expect(overview).to_have_attribute("data-share", "0.000")  # the whole slide is too far away
    with page.expect_response(lambda answer: answer.request.method == "POST"):
        page.locator(".thumb").first.click()
    expect(overview).to_have_attribute("data-share", SOME)
    share = overview.get_attribute("data-share")
    page.locator("#fit").click()
    page.goto(site.url)
    ready(page, site)
    expect(overview).to_have_attribute("data-share", share)
    page.locator("#sign").click()
    said = f"{100 * float(share):.0f} % of the slide on the screen"
    expect(page.locator("#sign-told")).to_contain_text(said)
    assert page.complaints == []


def test_what_was_on_the_screen_before_the_server_answered_is_seen_too(open_site, open_page):
    site, page = open_site(), open_page()
    (cell_id,) = site.made.add(1)
    site.made.done()
    held = []
    page.route("**/seen", lambda route: held.append(route) if not held else route.continue_())
    page.goto(site.opened)
    page.goto(f"{site.slide}#{cell_id}")
    expect(page.locator(f"#map[data-middle='{cell_id}']")).to_be_visible()
    held[0].continue_()
    expect(page.locator(".overview")).to_have_attribute("data-share", SOME)


def test_a_comment_is_pinned_listed_jumped_to_and_read(desk):
    site, page = desk
    whole_slide(page)
    box = page.locator("#map").bounding_box()
    page.click("#pin")
    page.mouse.click(box["x"] + box["width"] / 2 - 30, box["y"] + box["height"] / 2)
    page.fill("#text", "a clump of platelets")
    page.locator("#comment-box button.primary").click()
    expect(page.locator("canvas.boxes")).to_have_attribute("data-pins", "1")
    (comment,) = site.library.shelf(site.made.slide.slide_id).standing.comments
    assert 0 < comment.place_px0[0] < site.made.side_px / 2
    page.locator("#comments button.pin").click()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)  # on the pin
    expect(page.locator("#toast")).to_have_text(f"{local_name()}: a clump of platelets")
    assert page.complaints == []


def test_without_a_pointer_a_comment_is_pinned_to_the_middle(desk):
    site, page = desk
    whole_slide(page)
    page.keyboard.press("Shift+M")
    expect(page.locator("#comment-about")).to_have_text("About a place of the slide")
    page.fill("#text", "scratched")
    page.locator("#comment-box button.primary").click()
    expect(page.locator("#comments")).to_contain_text(re.compile("scratched.*Place 1"))
    (comment,) = site.library.shelf(site.made.slide.slide_id).standing.comments
    assert comment.place_px0 == pytest.approx((350, 350), abs=2)


def test_the_overview_leads_to_a_place(desk):
    _, page = desk
    page.locator("#gallery").focus()
    page.keyboard.press("End")
    expect(page.locator("#map:not([data-middle=''])")).to_be_visible()
    overview = page.locator(".overview canvas").bounding_box()
    page.mouse.click(overview["x"] + 10, overview["y"] + 10)
    expect(page.locator("#map")).to_have_attribute("data-middle", "")
