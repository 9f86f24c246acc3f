"""Two people at one slide: a second reading blind to the first, its agreement, and whose turn."""

from tests.browser.conftest import log_in


def test_a_second_reading_and_its_agreement(open_site, open_page):
    from playwright.sync_api import expect

    site = open_site("accounts")
    site.made.add(12)
    site.made.done()
    ada = log_in(open_page(), site, "ada")
    for key in "gccc":
        ada.keyboard.press(key)
    expect(ada.locator(".thumb .mark:not(.sent)")).to_have_count(3)
    before = ada.locator("#count-rows").inner_text()
    bert = log_in(open_page(), site, "bert")
    expect(bert.locator(".thumb .mark")).to_have_count(3)
    bert.click(".more summary")
    bert.click("#second")
    expect(bert.locator(".thumb .mark")).to_have_count(0)  # blind to the first reader
    bert.keyboard.press("g")
    bert.keyboard.press("c")
    bert.keyboard.press("c")
    bert.keyboard.press("v")  # a variant lymphocyte
    expect(bert.locator("#second-told")).to_contain_text("3 cells read")
    bert.click("#second-agree")
    expect(bert.locator("#agreed")).to_contain_text("bert: 2 of 3 cells")
    expect(bert.locator("#agreed .pick")).to_have_count(1)
    bert.keyboard.press("Escape")
    bert.click("#second-end")
    expect(bert.locator(".thumb .mark")).to_have_count(3)
    assert ada.locator("#count-rows").inner_text() == before

    bert.click(".more summary")
    bert.click("#assign")
    bert.fill("#assignee", "ada")
    bert.check("#stat")
    bert.click("#assign-box button.primary")
    expect(bert.locator("#toast")).to_contain_text("assigned to ada")
    expect(bert.locator("#held")).to_have_text("for ada")
    ada.goto(site.url)
    row = ada.locator("#rows tr")
    expect(row).to_contain_text("3 of 12 seen")
    expect(row).to_contain_text("for ada")
    expect(row.locator(".chip.urgent")).to_have_text("stat")
    ada.click("[data-filter=mine]")
    ada.reload()
    expect(ada.locator("[data-filter=mine]")).to_have_attribute("aria-pressed", "true")
    ada.click("#next")
    ada.wait_for_url(f"**/slides/{site.made.slide.slide_id}")
    assert ada.complaints == [] and bert.complaints == []
