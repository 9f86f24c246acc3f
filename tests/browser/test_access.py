"""axe-core finds no violation: every page, light at the desk and dark on a phone: a colour goes by
the scheme, what is shown by the size.
"""

from contextlib import closing

import numpy as np
import pytest

from classify import SHIPPED, ModelLibrary, load_model
from classify.model_card import GRAPH, TABLES_FILE, save_tables, write_card
from stream.review.web.auth import local_name
from tests.browser.conftest import SIZES, Site, ready
from tests.oidc_provider import Provider
from tests.shadows import add_shadow
from tests.stores import filled

axe_playwright = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="the test extra is not installed"
)


def violations(page):
    found = axe_playwright.Axe().run(page).response["violations"]
    return [(v["id"], [node["html"][:160] for node in v["nodes"]][:3]) for v in found]


@pytest.mark.parametrize(("size", "scheme"), [("desk", "light"), ("phone", "dark")])
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


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A store with an imported model that has judged a slide beside the one that counts, and with
    red cells.
    """
    folder = tmp_path_factory.mktemp("models")
    second = folder / "second"
    second.mkdir()
    (second / GRAPH).hardlink_to(SHIPPED / GRAPH)
    model = load_model()
    with np.load(SHIPPED / TABLES_FILE) as tables:
        save_tables(second, {**dict(tables), "bias": model.bias + 1})
    write_card(second, {**model.card.model_dump(exclude={"sha256"}), "name": "spring"})
    ModelLibrary(folder / "store" / "models").add(second)
    made = filled(folder / "store", cells=20)
    made.add_reds({"schistocyte": 4, "normal": 6})
    made.done()
    add_shadow(made, changed=5, model_id=load_model(second).model_id)
    made.close()
    site = Site(folder, store=folder / "store")
    yield site
    site.stop()


def test_models_red_cells_and_menus(compared, open_page):
    page = open_page("phone")
    page.goto(compared.opened)
    page.goto(f"{compared.url}/models")
    page.click("#use")
    page.wait_for_selector("#choose-box[open]")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.emulate_media(color_scheme="dark")
    page.click("details.account summary")
    assert violations(page) == []
    (slide_id,) = compared.library.outbox.slide_ids()
    page.goto(f"{compared.url}/slides/{slide_id}/red")
    page.locator(".thumb").first.click()
    page.wait_for_selector("#detail h2", state="attached")
    assert violations(page) == []
    page.goto(f"{compared.url}/slides/{'0' * 20}")
    assert violations(page) == []
    page.goto(f"{compared.url}/slides/{slide_id}")
    page.wait_for_selector("body[data-ready=yes]")
    for button in ("taught", "remark"):
        page.click("details.more summary")
        box = page.locator(f"#{button}").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= SIZES["phone"]["width"]
        page.click(f"#{button}")
        page.wait_for_selector("dialog[open]")
        assert violations(page) == []
        page.keyboard.press("Escape")
    page.click("#whose")
    page.wait_for_selector("#whose-box[open]")
    assert violations(page) == []


def test_the_login(open_site, open_page):
    site, page = open_site("accounts"), open_page()
    page.goto(site.url)
    page.wait_for_selector("#password")
    assert violations(page) == []


def in_both_schemes(page):
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == []


def test_closed_to_who_has_not_opened_the_printed_address(compared, open_page):
    page = open_page("phone")
    page.goto(compared.url)
    assert page.locator("h1").count() == 1
    in_both_schemes(page)


def test_sign_in_at_a_provider_and_its_refusal(open_site, open_page):
    with closing(Provider()) as provider:
        site, page = open_site("oidc", oidc=provider.settings), open_page("phone")
        page.goto(site.url)
        page.wait_for_selector("#sign-in")
        in_both_schemes(page)
        page.route(f"{site.url}/", lambda route: route.fulfill(status=204))  # it leads no further
        page.click("#sign-in")
        page.wait_for_selector("meta[http-equiv=refresh]", state="attached")
        in_both_schemes(page)
        provider.claims = {"groups": []}
        page.goto(f"{site.url}/login/start")
        page.wait_for_selector("text=Sign in again")
        in_both_schemes(page)


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
