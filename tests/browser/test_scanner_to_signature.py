"""Nothing stood in for: a slide announced over HTTP, a real station and engine, review in
Chromium, and Kafka.
"""

import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from PIL import Image

from classify import SHIPPED, read_card
from classify.model_card import read_sheet
from stream.config import Kafka
from stream.kafka.consumer import read_all
from stream.kafka.embedded_broker import Broker
from stream.review.web.auth import local_name
from tests.make import smear

playwright = pytest.importorskip("playwright.sync_api", reason="the test extra is not installed")
expect = playwright.expect
CYTOSTREAM = [sys.executable, "-m", "stream.cli"]
POST = """async (path) => {
  const me = await (await fetch('/api/me')).json();
  const headers = { 'Content-Type': 'application/json', 'X-CSRF-Token': me.csrf };
  return (await fetch('/api/door/slides', { method: 'POST', headers, body: JSON.stringify({ path })
      })).status;
}"""


@contextmanager
def running(*words):
    process = subprocess.Popen([*CYTOSTREAM, *map(str, words)], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


@contextmanager
def made(path, limit_s=60):
    """Begins once the file is there: `serve` refuses a store that nothing has made."""
    end = time.monotonic() + limit_s
    while not path.exists():
        assert time.monotonic() < end, f"{path} was not made"
        time.sleep(0.05)
    yield


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def known_cells(folder):
    for number, cells in enumerate(read_sheet(len(read_card(SHIPPED).counted) + 1)[:3]):
        (folder / f"class-{number}").mkdir(parents=True)
        for i, cell in enumerate(cells[:3]):
            Image.fromarray(cell).resize((128, 128)).save(folder / f"class-{number}" / f"{i}.png")
    return folder


def reviews(config, wanted, limit_s=60):
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        found = [event.data["action"] for event in read_all(config, ["reviews"])]
        if wanted <= set(found):
            return found
    raise AssertionError(f"only {found} on the topic")


@pytest.mark.broker
def test_a_slide_from_the_door_to_a_signature_on_kafka(open_page, tmp_path):
    pytest.importorskip("noida_db", reason="the broker extra is not installed")
    store, slides, scans, port = (
        tmp_path / "store",
        tmp_path / "slides",
        tmp_path / "scans",
        free_port(),
    )
    slides.mkdir(), scans.mkdir()
    smear(slides / "smear.tiff", side_px=900, whites=5)
    subprocess.run(
        [*CYTOSTREAM, "index", known_cells(tmp_path / "known"), "--out", tmp_path / "known.npz"],
        check=True,
    )
    with Broker() as broker:
        kafka = Kafka(bootstrap=broker.bootstrap)
        config = tmp_path / "lab.toml"
        config.write_text(f'[kafka]\nbootstrap = "{broker.bootstrap}"\n')
        common = ["--store", store, "--config", config]
        with (
            running("watch", scans, "--workers", 0, *common),
            made(store / "state.db"),
            running(
                "serve",
                *common,
                "--port",
                port,
                "--scans",
                slides,
                "--nearest",
                tmp_path / "known.npz",
            ) as server,
        ):
            page = open_page()
            reach(page, printed_address(server))
            assert page.evaluate(POST, str(tmp_path / "elsewhere.tiff")) == 403
            assert page.evaluate(POST, str(slides / "smear.tiff")) == 202
            page.complaints.clear()  # the browser complains of the 403, too
            page.click("#rows a", timeout=60_000)
            page.wait_for_selector("body[data-ready=yes]")
            expect(page.locator("#status")).to_have_text(re.compile("done"), timeout=60_000)
            page.locator(".thumb").first.click()
            page.click("text=Why this class?")
            page.wait_for_selector("img[alt^='heat map for']", timeout=60_000)
            expect(page.locator("img[alt^='the cell as']").nth(1)).to_be_attached()
            page.click("text=Nearest known cells")
            page.wait_for_selector("img[alt^='a known']", timeout=60_000)
            page.keyboard.press("c")
            page.wait_for_selector(
                ".thumb[aria-label*='confirm by']"
            )  # the page has heard of its own decision
            if page.locator("#see-all").is_visible():
                page.click("#see-all")
            page.click("#sign")
            page.fill("#again", local_name())
            page.click("#sign-box button.primary")
            expect(page.locator("#signed")).to_have_text(re.compile("v1 signed"))
            found = reviews(kafka, {"confirm", "sign"})
            assert found.count("sign") == 1 and not page.complaints


def printed_address(server):
    """The address with its secret, as the command prints it."""
    found = (re.search(r"http://\S+/open\?secret=\S+", line) for line in server.stderr)
    return next(address[0] for address in found if address)


def reach(page, url):
    """Open the page as soon as the server answers."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            return page.goto(url)
        except playwright.Error:
            time.sleep(0.2)
    raise AssertionError(f"{url} does not answer")
