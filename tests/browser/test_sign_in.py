"""Sign-in at a provider on another site, by a browser: which cookies it sends after which link."""

from contextlib import closing

from playwright.sync_api import expect

from tests.oidc_provider import Provider


def test_a_person_comes_in_by_another_site_and_leaves_to_it(open_site, open_page):
    with closing(Provider()) as provider:
        site = open_site("oidc", oidc=provider.settings)
        page = open_page()
        page.goto(site.url)
        page.click("#sign-in")
        expect(page.locator("header")).to_contain_text("Ada Ito, ada (reviewer)")
        page.wait_for_selector("#rows tr")  # its scripts run now
        assert page.url == f"{site.url}/"
        page.click("details.account summary")
        page.click("#logout")
        page.wait_for_url(f"{provider.issuer}/end_session?**")
        page.goto(site.url)
        expect(page.locator("#sign-in")).to_be_visible()
        assert page.complaints == []
