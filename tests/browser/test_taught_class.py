"""The whole path of a taught class, with the shipped model: cells called so on the page, taught,
switched on, found on the next slide, and its alert on the page and on Kafka.
"""

import re
import socket
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from classify import load_model, read_sheet
from ingest.synthetic import place
from stream.cli.app import app
from stream.cli.commands.demo import MPP, sprite
from stream.config import Config, Kafka, ReviewSettings
from stream.kafka import Broker, read_all
from tests.browser.conftest import Site

playwright = pytest.importorskip("playwright.sync_api", reason="the test extra is not installed")
expect = playwright.expect
NAME = "red-granules"
GLASS = (247, 238, 224)


class RunSite(Site):
    """The page over a store that runs have made."""

    def __init__(self, folder):
        self.folder = folder
        self.mode = "local"
        self.config = Config(review=ReviewSettings(look_s=0.05))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def close(self):
        self.stop()


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Two slides of fifty generated cells, ten each of five classes."""
    folder = tmp_path_factory.mktemp("taught")
    card = load_model().card
    rows = zip(card.counted, read_sheet(len(card.counted) + 1), strict=False)
    for name, cells in rows:
        for number, cell in enumerate(cells):
            path = folder / "cells" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(on_glass(cell, card)).save(path)
    made = [folder / f"slide-{number}.tiff" for number in (1, 2)]
    for number, path in enumerate(made):
        others = "lymphocyte", "segmented-neutrophil", "monocyte", "basophil"
        shares = [word for name in others for word in ("--per-100", f"{name}=20")]
        size = "--width-px", 2400, "--height-px", 2400, "--whites", 50, "--reds", 0.05
        given = "--cells", folder / "cells", "--per-100", "eosinophil=20", *shares, *size
        command("simulate", path, *given, "--seed", number)
    return folder, made


def on_glass(cell, card):
    """A generated window, which is white around the cell, as a crop of 36 um on coloured glass."""
    made = sprite(cell, SimpleNamespace(x_px0=0, y_px0=0), card.window_um)
    side = round(card.crop_um / MPP)
    crop = np.full((side, side, 3), GLASS, np.uint8)
    place(crop, [replace(made, x_px=side // 2, y_px=side // 2)])
    return crop


def command(*words):
    done = CliRunner().invoke(app, [*map(str, words)])
    assert done.exit_code == 0, done.output


@pytest.fixture
def broker():
    pytest.importorskip("noida_db", reason="the broker extra is not installed")
    with Broker() as broker:
        yield broker.bootstrap


def run(folder, slide, bootstrap):
    (folder / "c.toml").write_text(
        f'[red_cells]\njudged = 0\n[reading]\nworkers = 0\n[kafka]\nbootstrap = "{bootstrap}"\n'
    )
    given = "--store", folder / "store", "--config", folder / "c.toml", "--sink", "kafka"
    command("run", slide, *given)


@pytest.mark.broker
@pytest.mark.timeout(480)  # two runs of the shipped model
def test_ten_cells_are_taught_and_the_next_slide_alarms(slides, open_page, broker):
    folder, (first, second) = slides
    run(folder, first, broker)
    topics = Kafka(bootstrap=broker)
    page = open_page()
    page.set_default_timeout(120_000)  # the machine may do other work, too
    site = RunSite(folder)
    try:
        page.goto(site.opened)
        page.click("#rows a")
        page.wait_for_selector("body[data-ready=yes]")
        page.click(".more summary")
        page.click("#taught")
        page.fill("#taught-name", NAME)
        page.click("#taught-add")  # the page is loaded again with the new class
        page.wait_for_selector(f"#count-rows tr[data-class={NAME}]")
        page.wait_for_selector("body[data-ready=yes]")
        found = [event.data["label"] for event in read_all(topics, ["cells"])]
        ((machine, _),) = Counter(found).most_common(1)
        page.click(f"#count-rows tr[data-class={machine}] .name")  # to the class in the gallery
        page.keyboard.press("Control+a")
        page.select_option("#to", NAME)
        marked = page.locator(f"#count-rows tr[data-class={NAME}] .count-n")
        expect(marked).not_to_have_text("0")
        page.click(".more summary")
        page.click("#taught")
        line = page.locator(f"li[data-taught={NAME}]")
        expect(line).to_contain_text(f"{marked.inner_text()} cells on 1 slides")
        line.locator("button.teach").click()
        expect(line.locator(".figures")).to_contain_text(re.compile(r"finds \d+.* of its cells"))
        expect(line.locator(".notice").first).to_contain_text("cells of 1 patients")
        expect(line.locator(".chip")).to_have_text("off")
        line.locator("button.switch").click()
        expect(line.locator(".chip")).to_have_text("on")
        assert not page.complaints
        run(folder, second, broker)
        events = list(read_all(topics, ["alerts", "cells"]))
        (alert,) = [e.data for e in events if e.data.get("rule") == f"excess {NAME}"]
        assert alert["severity"] == "urgent" and NAME in alert["reason"] and alert["advice"]
        new = [e.data for e in events if e.data["slide_id"] == alert["slide_id"]]
        cells = {data["cell_id"]: data for data in new if "label" in data}
        assert set(alert["cell_ids"]) <= set(cells)
        labels = Counter(cell["label"] for cell in cells.values())
        assert labels[NAME] and all(cell["taught"] == [NAME] for cell in cells.values())
        assert {c["standard_label"] for c in cells.values() if c["label"] == NAME} != {NAME}
        page.goto(f"{site.url}/slides/{alert['slide_id']}")
        page.wait_for_selector("body[data-ready=yes]")
        card = page.locator("#alert-strip li").first
        expect(card).to_contain_text(NAME)
        expect(card.locator(".evidence img").first).to_be_visible()
        page.goto(f"{site.url}/slides/{alert['slide_id']}/report")
        expect(page.locator("main")).to_contain_text(f"Class of this laboratory: {NAME}, version 1")
        assert not page.complaints
    finally:
        site.close()
