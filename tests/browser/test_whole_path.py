"""From a slide that arrives to a signed report: by mouse, by keyboard alone, by two people at
once, and with the server gone.
"""

import re

import pytest

from stream.review.web.auth import local_name
from tests.browser.conftest import PASSWORD, counted, in_middle, log_in, ready

playwright = pytest.importorskip("playwright.sync_api", reason="the test extra is not installed")
expect = playwright.expect


def at(page, selector, text):
    expect(page.locator(selector)).to_have_text(re.compile(text))


def test_by_mouse(open_site, open_page):
    site, page = open_site(), open_page()
    page.goto(site.opened)
    at(page, "#rows .chip", "running")
    page.click("#rows a")
    page.wait_for_selector("body[data-ready=yes]")
    site.made.add(30, odd=2)  # live, while the page looks on
    at(page, "#white", "of 30")
    at(page, "#alerts-told", "2 open of 2")
    expect(page.locator("#sign")).to_be_disabled()
    site.made.add(20)
    at(page, "#white", "of 50")
    site.made.done()
    at(page, "#status", "done")
    smudge = counted(page, "smudge")
    page.locator(".thumb").first.click()
    page.locator(".thumb").nth(2).click(modifiers=["Shift"])
    at(page, "#selected", "3 selected")
    page.locator(".thumb").first.drag_to(page.locator("#count-rows tr[data-class=smudge]"))
    expect(page.locator("#count-rows tr[data-class=smudge] .count-n")).to_have_text(str(smudge + 3))
    page.click("#undo")
    expect(page.locator("#count-rows tr[data-class=smudge] .count-n")).to_have_text(str(smudge))
    page.click("#see-all")
    at(page, "#alerts-told", "0 open of 2")
    page.click("#sign")
    page.fill("#conclusion", "nothing remarkable")
    page.fill("#again", local_name())
    page.click("#sign-box button.primary")
    at(page, "#signed", "v1 signed")
    expect(page.locator("#decide")).to_be_hidden()
    page.click("text=Report")
    at(page, ".status", "Final, version 1. Signed by")
    expect(page.locator("text=Conclusion:")).to_have_count(1)
    assert not page.complaints


def test_by_keyboard_alone(open_site, open_page):
    site, page = open_site(), open_page()
    site.made.add(40, odd=1)
    page.goto(site.opened)
    page.wait_for_selector("#rows a")
    page.focus("#rows a")
    site.made.done()  # the row is drawn anew under the focus
    expect(page.locator("#rows .chip.done")).to_have_count(1)
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-ready=yes]")
    page.keyboard.press("g")
    page.keyboard.press("End")
    page.keyboard.press("Shift+ArrowLeft")
    at(page, "#selected", "2 selected")
    before = counted(page, "monocyte")
    page.keyboard.press("5")
    expect(page.locator("#count-rows tr[data-class=monocyte] .count-n")).not_to_have_text(
        str(before)
    )
    page.keyboard.press("Control+z")
    expect(page.locator("#count-rows tr[data-class=monocyte] .count-n")).to_have_text(str(before))
    page.keyboard.press("g")
    page.keyboard.press("Home")
    page.keyboard.press("0")
    expect(page.locator("#count-rows tr[data-class=unidentified] .count-n")).to_have_text("1")
    page.keyboard.press("n")
    page.keyboard.press("a")
    at(page, "#alerts-told", "0 open of 1")
    page.keyboard.press("c")
    page.keyboard.press("m")
    page.keyboard.type("seen by keyboard")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    at(page, "#toast", "comment saved")
    page.focus("#sign")
    page.keyboard.press("Enter")
    page.wait_for_selector("#sign-box[open]")
    page.keyboard.press("Tab")
    page.keyboard.type(local_name())
    page.keyboard.press("Enter")
    at(page, "#signed", "v1 signed")
    actions = [r.data.action for r in site.library.trail.reviews()]
    assert actions[-1] == "sign" and {
        "reclassify",
        "undo",
        "unidentified",
        "acknowledge",
        "confirm",
        "comment",
    } <= set(actions)
    assert not page.complaints


def test_two_reviewers_and_a_server_that_goes_away(open_site, open_page):
    site = open_site("accounts")
    site.made.add(30)
    site.made.done()
    alice, bob = log_in(open_page(), site, "alice"), log_in(open_page(), site, "bob")
    for page in (alice, bob):
        page.locator(".thumb").first.click()
    smudge = bob.locator("#count-rows tr[data-class=smudge] .count-n")
    alice.select_option("#to", "smudge")
    expect(smudge).to_have_text("1")  # bob sees it without asking
    site.stop()
    for page in (alice, bob):
        expect(page.locator("#cut")).to_be_visible()
    bob.select_option("#to", "variant_lymphocyte")
    at(bob, "#toast", "the server does not answer")  # refused, and said so
    site.made.add(10)
    site.start()
    for page in (alice, bob):
        expect(page.locator("#cut")).to_be_hidden()
        at(page, "#white", "of 40")
    bob.locator(".thumb").nth(3).click()
    bob.select_option("#to", "variant_lymphocyte")
    expect(alice.locator("#count-rows tr[data-class=variant_lymphocyte] .count-n")).to_have_text(
        "1"
    )
    alice.click("#sign")
    alice.fill("#again", PASSWORD)
    alice.click("#sign-box button.primary")
    at(bob, "#signed", "v1 signed by alice")
    expect(bob.locator("#decide")).to_be_hidden()
    assert site.library.trail.verify() == 2 + 3  # two logins


def test_what_the_box_shows_is_what_is_signed(open_site, open_page):
    site = open_site("accounts")
    site.made.add(20)
    site.made.done()
    alice, bob = log_in(open_page(), site, "alice"), log_in(open_page(), site, "bob")
    alice.click("#sign")
    alice.fill("#again", PASSWORD)
    bob.locator(".thumb").first.click()
    bob.select_option("#to", "blast")
    expect(alice.locator("#count-rows tr[data-class=blast] .count-n")).to_have_text(
        "1"
    )  # under the open box
    alice.click("#sign-box button.primary")
    at(alice, "#toast", "somebody has changed the slide")
    alice.click("#sign")
    at(alice, "#verified", "Blast")
    alice.fill("#again", PASSWORD)
    alice.click("#sign-box button.primary")
    at(bob, "#signed", "v1 signed by alice")


def resize(page, width, height):
    """Changes the window, and waits until the viewer is drawn in its new size."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_function(
        """(wanted) => {
            const [map, drawn] = ['#map', 'canvas.boxes'].map((s) => document.querySelector(s));
            return innerWidth === wanted[0] && innerHeight === wanted[1]
                && map.clientWidth === drawn.clientWidth && map.clientHeight === drawn.clientHeight;
        }""",
        arg=[width, height],
    )


def test_slide_and_gallery_lead_to_each_other(open_site, open_page):
    site, page = open_site(), open_page()
    site.made.add(12)
    site.made.done()
    held = []
    page.route("**/viewer.js", lambda route: held.append(route))
    with page.expect_request("**/viewer.js"):
        ready(page, site)
    chosen = page.locator(".thumb[aria-selected=true]")
    for place in (4, 2):  # one before the map is there, one after
        page.locator(".thumb").nth(place).click()
        cell_id = chosen.get_attribute("data-id")
        page.keyboard.press("Escape")  # at once: the map goes to the cell all the same
        expect(chosen).to_have_count(0)
        if held:
            held.pop().continue_()
        in_middle(page, cell_id)
        resize(page, 1300, 700 + 10 * place)
        in_middle(page, cell_id)
        page.locator("#map").click()  # its middle is the chosen cell
        expect(chosen).to_have_attribute("data-id", cell_id)
    at(page, "#detail h2", ".")
    page.wait_for_function(
        "document.querySelector('canvas.boxes').getContext('2d').getImageData(0, 0, 400, 200)"
        ".data.some((v) => v > 0)"
    )
    assert not page.complaints


def test_markup_in_names_and_comments_is_text(open_site, open_page):
    site = open_site(name="<img src=x onerror=alert(1)>.tiff")
    site.made.add(5)
    site.made.done()
    page = ready(open_page(), site)
    page.click("details.more summary")
    page.click("#remark")
    page.fill("#text", "<script>alert(2)</script>")
    page.click("#comment-box button.primary")
    at(page, "#comments", "<script>alert")
    for path in (site.url, f"{site.slide}/report"):
        page.goto(path)
        page.wait_for_load_state()
    assert not page.complaints
