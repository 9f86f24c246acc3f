"""The page of red cells in a browser: gallery by kind, keys, grades, on a desk and on a phone."""

import os
import re

import pytest

from tests.browser.conftest import ready

playwright = pytest.importorskip("playwright.sync_api", reason="the test extra is not installed")
expect = playwright.expect
expect.set_options(timeout=60_000)  # the machine may be loaded


@pytest.fixture
def site(open_site):
    site = open_site()
    site.made.add(4)
    site.made.add_reds({"normal": 70, "schistocyte": 4, "spherocyte": 9, "target-cell": 17})
    site.made.done()
    return site


def open_red(page, site):
    page.set_default_timeout(90_000)
    ready(page, site)
    page.get_by_role("link", name="Red cells").click()
    page.wait_for_selector("body.red[data-ready=yes] .thumb")
    return page


def count(page, kind):
    return page.locator(f"#kind-rows tr[data-class={kind}] .count-n")


def picture(page, name):
    """For who wants to look: a picture of the page in the folder CYTOSTREAM_PICTURES."""
    if folder := os.environ.get("CYTOSTREAM_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png")


def test_kinds_stand_gravest_first_and_a_key_renames(site, open_page):
    page = open_red(open_page(), site)
    heads = page.locator(".group .head span:nth-child(2)").all_inner_texts()
    assert heads[:2] == ["Schistocytes", "Spherocytes"]
    expect(count(page, "schistocyte")).to_have_text("4")
    expect(page.locator("tr[data-class=schistocyte] .grade")).to_have_text("3+")
    page.keyboard.press("g")
    page.keyboard.press("Home")
    expect(page.locator("#detail h2")).to_have_text("Schistocyte")
    picture(page, "red-desk")
    page.keyboard.press("4")
    expect(count(page, "schistocyte")).to_have_text("3")
    expect(count(page, "target-cell")).to_have_text("18")
    page.keyboard.press("Control+z")
    expect(count(page, "schistocyte")).to_have_text("4")
    assert page.complaints == []


def test_a_cell_is_confirmed_on_a_phone(site, open_page):
    page = open_red(open_page("phone"), site)
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide
    page.locator(".thumb").first.click()
    picture(page, "red-phone")
    page.locator("#confirm").click()
    expect(page.locator(".thumb .mark").first).to_be_visible()
    page.get_by_role("button", name="Kinds").click()
    expect(count(page, "spherocyte")).to_be_visible()
    picture(page, "red-phone-kinds")
    assert page.complaints == []


def test_a_signed_slide_takes_no_decision(site, open_page):
    page = ready(open_page(), site)
    page.locator("#sign").click()
    page.fill("#again", page.locator("label[for=again]").inner_text().rpartition(": ")[2])
    page.locator("#sign-box button.primary").click()
    expect(page.locator("#signed")).to_be_visible()
    open_red(page, site)
    expect(page.locator("#decide")).to_be_hidden()
    expect(page.locator("#signed")).to_contain_text("signed by")


def test_the_box_before_a_signature_names_the_kinds(site, open_page):
    page = open_page()
    ready(page, site)
    page.click("#sign")
    rows = page.locator("#verified tr")
    expect(page.locator("#verified th[colspan]")).to_have_text("Red cells")
    expect(rows.filter(has_text="Schistocytes")).to_have_text(
        re.compile(r"Schistocytes\s*4(.0)?\s*4\s*0\s*0\s*4")
    )
    picture(page, "red-sign")
