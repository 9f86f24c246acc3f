"""Every key decides on the cell that was chosen when it was pressed, however late the server
answers.
"""

import json
import re

import pytest

from stream.review.decisions import DecisionService
from tests.browser.conftest import ready, whole_slide
from tests.stores import STAMP

playwright = pytest.importorskip("playwright.sync_api", reason="the test extra is not installed")
expect = playwright.expect
CELLS = 24
LATENCY_MS = 150


@pytest.fixture
def slide(open_site, open_page):
    """A finished slide on the page, its first cell chosen, and the requests for decisions held
    until they are let go.
    """
    site, page = open_site(), open_page()
    site.made.add(CELLS)
    site.made.done()
    page.held = []
    page.route("**/decisions", lambda route: page.held.append(route))
    ready(page, site)
    page.keyboard.press("g")
    page.keyboard.press("Home")
    return site, page


def in_order(page):
    """The ids of the cells as the gallery shows them, from the top."""
    js = """() => [...document.querySelectorAll('.thumb')].map((t) => ({ id: t.dataset.id,
        box: t.getBoundingClientRect() }))
        .sort((a, b) => a.box.top - b.box.top || a.box.left - b.box.left).map((t) => t.id)"""
    return page.evaluate(js)


def chosen(page):
    return page.evaluate(
        "[...document.querySelectorAll('.thumb[aria-selected=true]')].map((t) => t.dataset.id)"
    )


def let_go(page, answer=None):
    """Waits for the next decision, lets it through (or answers in the server's place), and returns
    what it asked for.
    """
    while not page.held:
        page.evaluate("new Promise(requestAnimationFrame)")  # meanwhile the route is called
    route = page.held.pop(0)
    asked = json.loads(route.request.post_data)
    with page.expect_response("**/decisions"):
        route.fulfill(**answer) if answer else route.continue_()
    return asked


def decided(site):
    return [(review.data.cell_id, review.data.action) for review in site.library.trail.reviews()]


def test_six_keys_before_any_answer_decide_on_six_cells(slide):
    site, page = slide
    cells = in_order(page)
    for _ in range(6):
        page.keyboard.press("c")
    assert chosen(page) == cells[6:7]
    page.keyboard.press("ArrowLeft")  # the person goes elsewhere before the answers come
    asked = [let_go(page)["cell_ids"] for _ in range(6)]
    assert asked == [[cell] for cell in cells[:6]]
    expect(page.locator(".thumb .mark.sent")).to_have_count(0)
    assert chosen(page) == cells[5:6]  # no answer has touched it
    assert decided(site) == [(cell, "confirm") for cell in cells[:6]]
    assert not page.complaints


def test_ten_keys_a_second_over_a_slow_network(slide):
    site, page = slide
    page.unroute("**/decisions")
    network = page.context.new_cdp_session(page)
    slow = {
        "offline": False,
        "latency": LATENCY_MS,
        "downloadThroughput": -1,
        "uploadThroughput": -1,
    }
    network.send("Network.emulateNetworkConditions", slow)
    cells = in_order(page)
    for key in "cc3cuc":  # 3 is monocyte
        page.keyboard.press(key, delay=1)
    expect(page.locator(".thumb .mark.sent")).to_have_count(0)
    actions = ["confirm", "confirm", "reclassify", "confirm", "unidentified", "confirm"]
    assert [action for _, action in decided(site)] == actions
    assert len({cell for cell, _ in decided(site)}) == 6
    assert [cell for cell, _ in decided(site)][:3] == cells[:3]


def test_keys_reclassify_cell_after_cell_past_the_end_of_a_class(slide):
    site, page = slide
    page.unroute("**/decisions")
    first = page.locator(".group").first
    count = int(first.locator(".tally").inner_text())
    for _ in range(count + 2):
        page.keyboard.press("u")
    expect(page.locator("#count-rows tr[data-class=unidentified] .count-n")).to_have_text(
        str(count + 2)
    )
    assert len({cell for cell, _ in decided(site)}) == count + 2


def test_a_key_that_is_held_decides_once(slide):
    site, page = slide
    page.unroute("**/decisions")
    first, second = in_order(page)[:2]
    for _ in range(5):
        page.keyboard.down("c")  # from the second on, the browser says that it repeats
    page.keyboard.up("c")
    expect(page.locator(".thumb .mark")).to_have_count(1)
    assert chosen(page) == [second]
    page.locator(f"[id=cell-{first}]").click()
    page.keyboard.press("c")
    expect(page.locator("#toast")).to_have_text("you have decided on these cells already")
    page.keyboard.press("C")  # as with the capitals locked
    expect(page.locator(".thumb .mark:not(.sent)")).to_have_count(2)
    assert decided(site) == [(first, "confirm"), (second, "confirm")]


def test_after_the_last_cell_a_key_decides_nothing(slide):
    site, page = slide
    page.unroute("**/decisions")
    page.keyboard.press("End")
    last = chosen(page)
    for _ in range(3):
        page.keyboard.press("0")
    expect(page.locator("#count-rows tr[data-class=unidentified] .count-n")).to_have_text("1")
    assert [cell for cell, _ in decided(site)] == last
    assert chosen(page) == []


def test_what_is_refused_is_undone_and_shown_on_its_cell(slide):
    site, page = slide
    page.evaluate("performance.now = () => 1e6")  # however slow: the refusal is still new
    cells = in_order(page)
    before = page.locator(f"[id=cell-{cells[1]}]").get_attribute("aria-label")
    for key in "ccc":
        page.keyboard.press(key)
    refusal = {
        "status": 409,
        "json": {"detail": "bob has changed 1 of these cells since", "hint": "look at them again"},
    }
    assert [
        let_go(page)["cell_ids"],
        let_go(page, refusal)["cell_ids"],
        let_go(page)["cell_ids"],
    ] == [[c] for c in cells[:3]]
    refused = page.locator(f"[id=cell-{cells[1]}]")
    expect(refused.locator(".mark.refused")).to_be_visible()
    expect(refused).to_have_attribute("title", re.compile("bob has changed"))
    assert refused.get_attribute("aria-label").startswith(before)
    expect(page.locator("#toast")).to_have_text(
        re.compile("bob has changed")
    )  # not covered by the third one's message
    assert [cell for cell, _ in decided(site)] == [cells[0], cells[2]]
    refused.click()
    page.keyboard.press("c")
    let_go(page)
    expect(refused.locator(".mark.refused")).to_have_count(0)
    assert [cell for cell, _ in decided(site)] == [cells[0], cells[2], cells[1]]


def test_a_cell_that_somebody_else_changes_while_the_key_waits_is_left_to_them(slide):
    site, page = slide
    first, second = in_order(page)[:2]
    page.keyboard.press("c")
    page.keyboard.press("c")  # waits for the answer to the first
    desk = DecisionService(site.library, STAMP)
    desk.decide(site.made.slide.slide_id, "bob", "reclassify", [second], "blast", saw=0)
    expect(page.locator("#count-rows tr[data-class=blast] .count-n")).to_have_text(
        "1"
    )  # the page has been told
    let_go(page)
    expect(page.locator(f"[id=cell-{second}]")).to_have_attribute(
        "title", re.compile("bob has changed this cell")
    )
    assert decided(site) == [(second, "reclassify"), (first, "confirm")]


def test_a_button_beside_a_cell_decides_on_that_cell(slide):
    site, page = slide
    page.unroute("**/decisions")
    first = chosen(page)
    page.wait_for_selector("#detail .acts button")
    page.route(
        "**/cells/*", lambda route: None
    )  # the next cell's details never come: the first ones stay in sight
    page.keyboard.press("ArrowRight")
    page.click("#detail .acts button:has-text('Confirm')")
    expect(page.locator(".thumb .mark:not(.sent)")).to_have_count(1)
    assert decided(site) == [(first[0], "confirm")]


def test_messages_are_one_line_and_never_over_the_gallery(slide):
    _, page = slide
    page.unroute("**/decisions")
    for key in "ccccn":
        page.keyboard.press(key)
    expect(page.locator("#toast > *")).to_have_count(1)
    toast, gallery = (page.locator(selector).bounding_box() for selector in ("#toast", "#gallery"))
    assert gallery["y"] + gallery["height"] <= toast["y"] and toast["height"] < 30


def test_a_tile_at_the_edge_is_as_large_as_its_pixels(open_site, open_page):
    site = open_site()  # 700 px: the last tiles are 188 px wide
    site.made.add(4)
    site.made.done()
    page = open_page()
    page.emulate_media(reduced_motion="reduce")
    ready(page, site)
    whole_slide(page)
    js = """() => [...document.querySelectorAll('.leaflet-tile-loaded')].map((t) =>
        [t.naturalWidth, t.naturalHeight,
        t.getBoundingClientRect().width / t.naturalWidth,
        t.getBoundingClientRect().height / t.naturalHeight])"""
    tiles = page.evaluate(js)
    assert any(width < 256 or height < 256 for width, height, *_ in tiles)
    scales = [scale for *_, across, down in tiles for scale in (across, down)]
    assert max(scales) / min(scales) < 1.02


def test_what_is_in_sight_is_confirmed_as_a_group_and_the_next_class_is_chosen(slide):
    site, page = slide
    page.wait_for_function(
        "() => [...document.querySelectorAll('.thumb img')].every((i) => i.naturalWidth > 0)"
    )
    groups = page.evaluate(
        "[...document.querySelectorAll('.group')].sort((a, b) => a.offsetTop - b.offsetTop)"
        ".map((g) => [...g.querySelectorAll('.thumb')].map((t) => t.dataset.id))"
    )
    page.keyboard.press("Shift+C")
    assert chosen(page) == groups[1][:1]
    asked = let_go(page)
    assert asked["action"] == "confirm" and asked["cell_ids"] == groups[0]
    expect(page.locator(".thumb .mark.sent")).to_have_count(0)
    standing = site.library.shelf(site.made.slide.slide_id).standing
    assert len({decision.act for decision in standing.decisions.values()}) == 1
    assert page.complaints == []


def test_what_a_cell_has_asked_for_ends_when_the_person_leaves_it(open_site, open_page):
    site, page = open_site(), open_page()
    site.made.add(6)
    site.made.done()
    page.route("**/words", lambda route: None)  # a model that does not answer
    ready(page, site)
    with page.expect_request("**/words"):
        page.locator(".thumb").nth(0).click()
    with page.expect_event("requestfailed", lambda request: request.url.endswith("/words")):
        page.locator(".thumb").nth(1).click()
    assert not page.complaints
