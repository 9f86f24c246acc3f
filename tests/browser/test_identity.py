"""Whose slide it is, in a browser: held where the sources differ, stated by a person, found on the
worklist.
"""

import pytest

from stream.identity import Claim, Identity, Order
from tests.browser.conftest import ready

playwright = pytest.importorskip("playwright.sync_api", reason="the test extra is not installed")
expect = playwright.expect


@pytest.fixture
def site(open_site):
    """A slide whose label and file name lead to different orders."""
    site = open_site()
    site.made.add(4)
    site.made.done()
    slide_id = site.made.slide.slide_id
    with site.made.outbox.transaction() as tx:
        tx.set_claims(slide_id, "slide", "", [Claim("slide", Identity(barcode="C1"))])
        tx.set_claims(slide_id, "name", "a", [Claim("name", Identity(accession="S26-2"))])
        tx.put_order(Order(Identity("S26-1", "C1", "", "O1", "P1", "Ito, Anna", "1970-01-31")))
        tx.put_order(Order(Identity("S26-2", "C2", "", "O2", "P2", "Oja, Ben", "1981-12-01")))
    return site


def test_a_held_slide_is_stated_and_found(open_page, site):
    page = open_page()
    ready(page, site)
    whose = page.locator("#whose")
    expect(whose).to_contain_text("not settled")
    page.locator("#sign").click()
    expect(page.locator("#sign-told")).to_contain_text("belong to different orders")
    page.locator("#sign-box [data-close]").click()
    whose.click()
    told = page.locator("#whose-told")
    expect(told).to_contain_text("the slide: Barcode C1")
    told.get_by_role("button", name="Accession S26-2").click()
    expect(page.locator("#whose-patient_name")).to_have_value("Oja, Ben")
    page.locator("#whose-state").click()
    expect(whose).to_have_text("Oja, Ben, S26-2")
    page.goto(site.url)
    page.locator("#search").fill("oja")
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#rows")).to_contain_text("Oja, Ben, S26-2")
    page.locator("#search").fill("anna")
    expect(page.locator("#rows tr")).to_have_count(0)
