"""The authenticity test as an expert takes it: by key and by mouse, shut and opened again, answers
saved and scored.
"""

import json

import numpy as np
import pytest

from classify.explain.authenticity import Shown, score_answers, write_test

playwright = pytest.importorskip("playwright.sync_api", reason="the test extra is not installed")
expect = playwright.expect


def test_an_expert_takes_the_test(chromium, tmp_path):
    rng = np.random.default_rng(0)
    shown = [
        Shown(rng.integers(0, 255, (64, 64, 3), np.uint8), "ig", truth)
        for truth in ("real", "generated") * 3
    ]
    where = write_test(shown, tmp_path / "test").resolve().as_uri()
    with chromium.new_context(accept_downloads=True) as context:
        page = context.new_page()
        page.goto(where)
        expect(page.locator("#cell")).to_have_js_property("naturalWidth", 256)
        page.keyboard.press("r")
        page.get_by_role("button", name="Generated").click()
        expect(page.get_by_role("status")).to_have_text("2 of 6 answered")
        page.reload()
        expect(page.get_by_role("status")).to_have_text("2 of 6 answered")
        for _ in range(4):
            page.keyboard.press("g")
        with page.expect_download() as saving:
            page.get_by_role("link", name="Save answers.json").click()
        saving.value.save_as(tmp_path / "answers.json")
    answers = json.loads((tmp_path / "answers.json").read_text())["answers"]
    assert list(answers.values()) == ["real"] + ["generated"] * 5
    assert score_answers(tmp_path / "test", tmp_path / "answers.json")["all"].of == 6
