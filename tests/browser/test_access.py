"""axe-core finds no violation: every page, light and dark, at the desk and on a phone."""

import pytest

from stream.review.web.auth import local_name
from tests.browser.conftest import ready

axe_playwright = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="the test extra is not installed"
)


def violations(page):
    found = axe_playwright.Axe().run(page).response["violations"]
    return [(v["id"], [node["html"][:160] for node in v["nodes"]][:3]) for v in found]


@pytest.mark.parametrize(
    ("size", "scheme"), [("desk", "light"), ("desk", "dark"), ("phone", "light"), ("phone", "dark")]
)
def test_no_violation(open_site, open_page, size, scheme):
    site, page = open_site(), open_page(size, scheme)
    site.made.add(20, odd=2)
    site.made.done()
    page.goto(site.opened)
    page.wait_for_selector("#rows tr")
    assert violations(page) == []
    ready(page, site)
    page.locator(".thumb").nth(1).click()
    page.wait_for_selector("#detail h2", state="attached")
    assert violations(page) == []
    if size == "phone":
        for name in ("count", "slide", "detail"):
            page.click(f"nav.tabs button[data-tab={name}]")
            assert violations(page) == []
    page.keyboard.press("?")
    assert violations(page) == []
    page.goto(f"{site.slide}/report")
    assert violations(page) == []


def test_the_login(open_site, open_page):
    site, page = open_site("accounts"), open_page()
    page.goto(site.url)
    page.wait_for_selector("#password")
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_dialogs(open_site, open_page, scheme):
    site, page = open_site(), open_page("desk", scheme)
    site.made.add(20, odd=1)
    site.made.done()
    ready(page, site)
    page.locator(".thumb").first.click()
    page.keyboard.press("m")
    page.wait_for_selector("#comment-box[open]")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    page.wait_for_selector("#compare-box[open]")
    assert violations(page) == []
    page.keyboard.press("Escape")
    for button, box in (("assign", "assign"), ("agreement", "agree"), ("versions", "versions")):
        page.click(".more summary")
        page.click(f"#{button}")
        page.wait_for_selector(f"#{box}-box[open]")
        assert violations(page) == []
        page.keyboard.press("Escape")
    page.click("#see-all")
    page.click("#sign")
    page.wait_for_selector("#sign-box[open]")
    assert violations(page) == []
    page.fill("#again", local_name())
    page.click("#sign-box button.primary")
    page.click("text=Amend")
    page.wait_for_selector("#amend-box[open]")
    assert violations(page) == []
