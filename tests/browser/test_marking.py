"""Marking a missed cell in the viewer: a click and a drag each count one; undo takes them back."""

from dataclasses import replace

import pytest

from tests.browser.conftest import counted, ready, whole_slide
from tests.stream.review.test_marked_cells import blast_model

MARKED = ".thumb .mark.by-hand"


@pytest.fixture
def page(open_site, open_page):
    site = open_site()
    site.made.add(3)
    site.made.done()
    site.app.state.parts = replace(site.app.state.parts, reasons=blast_model())
    page = ready(open_page(), site)
    page.wait_for_selector("#mark:not([hidden])")
    whole_slide(page)
    return page


def middle(page):
    box = page.locator("#map").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_click_and_a_drag_mark_cells_and_undo_takes_them_back(page):
    from playwright.sync_api import expect

    before = counted(page, "blast")
    x, y = middle(page)
    page.click("#mark")
    # what the page asks about a chosen cell is answered before the next one is chosen
    with page.expect_response("**/words"), page.expect_response("**/like?*"):
        page.mouse.click(x, y)
    expect(page.locator(MARKED)).to_have_count(1)
    assert counted(page, "blast") == before + 1
    expect(page.locator("#mark")).to_have_attribute("aria-pressed", "false")
    whole_slide(page)
    page.click("#mark")
    page.mouse.move(x + 40, y + 40)
    page.mouse.down()
    page.mouse.move(x + 50, y + 50, steps=3)
    with page.expect_response("**/words"), page.expect_response("**/like?*"):
        page.mouse.up()
    expect(page.locator(MARKED)).to_have_count(2)
    expect(page.locator("#detail")).to_contain_text("no run has found this cell")
    for left in (1, 0):
        page.keyboard.press("Control+z")
        expect(page.locator(MARKED)).to_have_count(left)
    assert counted(page, "blast") == before
    assert page.complaints == []
