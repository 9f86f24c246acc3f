"""Many tabs, and windows of every size: high zoom, a phone on its side, a proxy that serves the
page under a path.
"""

import pytest

from stream.review.web.auth import local_name
from tests.browser.conftest import ready

playwright = pytest.importorskip("playwright.sync_api", reason="the test extra is not installed")
expect = playwright.expect
SEEN = """() => {
    const box = document.querySelector('#gallery').getBoundingClientRect();
    const whole = (r) => r.height > 40 && r.top >= Math.max(0, box.top + 30)
        && r.bottom <= Math.min(innerHeight, box.bottom);
    const thumbs = [...document.querySelectorAll('.thumb')];
    return thumbs.filter((t) => whole(t.getBoundingClientRect())).length;
}"""


def test_eight_tabs_share_one_stream(open_site, open_page):
    site, first = open_site(), open_page()
    site.made.add(6)
    tabs = [ready(first, site)]
    for _ in range(7):
        tabs.append(ready(first.context.new_page(), site))
    assert first.evaluate("fetch('/api/me').then((answer) => answer.status)") == 200
    site.made.add(4)  # every tab hears of it
    for tab in tabs:
        expect(tab.locator("#white")).to_contain_text("of 10")
    assert len(site.app.state.parts.hub._listeners) == 1
    for tab in tabs[1:]:
        tab.close()
    site.made.add(2)
    expect(first.locator("#white")).to_contain_text("of 12")


def test_without_shared_workers_a_page_has_a_stream_of_its_own(open_site, open_page):
    site, page = open_site(), open_page()
    page.add_init_script("delete globalThis.SharedWorker")
    site.made.add(6)
    ready(page, site)
    site.made.add(4)
    expect(page.locator("#white")).to_contain_text("of 10")


def test_a_page_from_the_browsers_cache_listens_again(open_site, open_page):
    site, page = open_site(), open_page()
    site.made.add(6)
    ready(page, site)
    page.wait_for_selector("body[data-live=yes]", state="attached")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    site.made.add(4)
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(page.locator("#white")).to_contain_text("of 10")


TOP = "document.querySelector('#gallery').offsetTop"


@pytest.mark.parametrize("size", [(1920, 614), (683, 384), (341, 192), (844, 390)])
def test_cells_are_reached_in_every_window(open_site, open_page, size):
    site, page = open_site(), open_page()
    site.made.add(30, odd=2)
    site.made.done()
    page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    ready(page, site)
    top = page.evaluate(TOP)
    page.locator(".thumb").first.click()
    expect(page.locator("#selected")).to_have_text("1 selected")
    assert page.evaluate(TOP) == top  # the cell stays under the pointer
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"({SEEN})() >= 1")
    page.keyboard.press("c")
    page.click("#confirm")
    expect(page.locator(".thumb .mark:not(.alert):not(.sent)")).to_have_count(2)
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    page.keyboard.press("g")
    page.click("#see-all")
    page.click("#sign")
    page.fill("#again", local_name())
    page.click("#sign-box button.primary")
    expect(page.locator("#signed")).to_contain_text("v1 signed")
    assert not page.complaints


OUTSIDE = """() => [...document.querySelectorAll('th, td, button, select, .button')].filter((e) => {
    const { width, right } = e.getBoundingClientRect();
    const rolls = e.closest('.alert-strip, #filters'); // these are moved sideways on purpose
    return width && right > document.documentElement.clientWidth + 1 && !rolls;
}).map((e) => e.textContent.trim())"""


@pytest.mark.parametrize("height", [640, 256])  # the second one is 400 % zoom
def test_nothing_lies_outside_a_window_of_320_px(open_site, open_page, height):
    site, page = open_site(), open_page()
    site.made.add(30, odd=2)
    site.made.done()
    page.set_viewport_size({"width": 320, "height": height})
    page.set_extra_http_headers({"Accept-Language": "de"})  # its words are the longer ones
    page.goto(site.opened)
    page.wait_for_selector("#rows tr")
    assert page.evaluate(OUTSIDE) == []
    ready(page, site)
    for tab in ("count", "slide", "cells"):
        page.click(f"nav.tabs button[data-tab={tab}]")
        assert page.evaluate(OUTSIDE) == []
    page.click("#see-all")
    page.click("#sign")
    expect(page.locator("#verified tr").first).to_be_visible()
    assert page.evaluate(OUTSIDE) == []
    page.goto(f"{site.slide}/report")
    assert page.evaluate(OUTSIDE) == []


def test_under_a_path_behind_a_proxy(open_site, open_page):
    site, page = open_site("accounts"), open_page()
    site.made.add(6)
    site.made.done()
    site.accounts.set("ada", "reviewer", "correct horse battery")
    site.path = "/smears"
    folder = f"{site.url}/smears/"
    page.goto(folder)
    page.fill("#name", "ada")
    page.fill("#password", "correct horse battery")
    page.click("button.primary")
    page.click("#rows a")
    page.wait_for_selector("body[data-ready=yes]")
    page.locator(".thumb").first.click()
    page.wait_for_selector(".leaflet-tile-loaded")
    page.keyboard.press("c")
    expect(page.locator(".thumb .mark:not(.sent)")).to_have_count(1)
    page.click("text=Report")
    expect(page.locator("h1")).to_contain_text("Differential count")
    assert page.url.startswith(folder)
