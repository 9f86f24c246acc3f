"""The day in the laboratory, reviewed and signed in Chromium."""

import re
from contextlib import closing

import pytest
from playwright.sync_api import expect

from stream.review.web import local_name
from tests.browser.conftest import Site
from tests.stream.test_laboratory_day import the_day


@pytest.mark.broker
def test_a_day(tmp_path, open_page):
    page = open_page()

    def sign_in_the_browser(folder, slide_id, config):
        with closing(Site(folder, store=folder / "store", config=config)) as site:
            page.goto(site.opened)
            page.goto(f"{site.url}/slides/{slide_id}")
            page.wait_for_selector("body[data-ready=yes]")
            expect(page.locator("body")).to_contain_text("S26-00117")
            page.locator(".thumb").first.click()
            page.keyboard.press("c")
            page.wait_for_selector(".thumb[aria-label*='confirm by']")
            page.click("#see-all")
            expect(page.locator("#see-all")).to_be_hidden()
            page.click("#sign")
            page.fill("#again", local_name())
            page.click("#sign-box button.primary")
            expect(page.locator("#signed")).to_have_text(re.compile("v1 signed"))
            page.goto("about:blank")  # ends the page's streams before the server
        assert page.complaints == []

    the_day(tmp_path, sign_in_the_browser)
