"""The page in German: chosen on the page, kept, and without an English text left on it."""

import re

import pytest

from stream.review.texts import Texts
from tests.browser.conftest import ready

playwright = pytest.importorskip("playwright.sync_api", reason="the test extra is not installed")
expect = playwright.expect
SAID = """() => [...document.querySelectorAll('body *')].flatMap((e) => [
    ...[...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()),
    ...['title', 'aria-label', 'placeholder'].map((name) => e.getAttribute(name))]).filter(Boolean)
"""


def test_a_person_chooses_german_and_no_english_is_left(open_site, open_page):
    site, page = open_site(), open_page()
    site.made.add(12, odd=1)
    site.made.done()
    ready(page, site)
    page.click("details.account summary")
    page.locator("#language").select_option("de")
    expect(page.locator("#confirm")).to_have_text("Bestätigen")
    page.wait_for_selector("body[data-ready=yes]")
    page.locator(".thumb").first.click()
    expect(page.locator("#detail")).to_contain_text("ungewöhnlicher als")
    expect(page.locator("#detail")).to_contain_text(re.compile(r"\d,\d %"))
    german = Texts("de").catalogue
    english = {text for part in german.values() for text, to in part.items() if text != to}
    both = {to for part in german.values() for to in part.values()}
    assert [text for text in page.evaluate(SAID) if text in english - both] == []
    page.keyboard.press("c")
    expect(page.locator("#toast")).to_contain_text("1 Zelle: bestätigt")
    page.goto(site.url)
    expect(page.locator("h1")).to_have_text("Arbeitsliste")
    expect(page.locator("#rows")).to_contain_text("1 von 12 geprüft")
    assert not page.complaints
