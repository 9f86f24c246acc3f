"""`python -m tests.tools.bench.shift [SLIDE]`: a technologist's work at the review page, by script
in a real Chromium.

With a slide: 100 cells reviewed, ten of them renamed to blast, two missed cells marked, the alerts
acknowledged, signed, amended, signed again: acts of the person, and seconds. Without: a slide of
10,000 cells; how long until the first cells are there, until a decision is on the screen and until
it is answered, and the memory of the tab while decisions go on for `--minutes`.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright
from rich.console import Console

from stream.review.web.auth import local_name
from tests.browser.conftest import CHROMIUM, Site

CELLS = 10_000
KEYS_A_SECOND = 10
MISSED = ((0.30, 0.35), (0.70, 0.65))  # of the viewer, after the slide is shown whole and zoomed
DECIDE = """async (count) => {
  const box = document.querySelector('#gallery'); const times = [];
  for (let n = 0; n < count; n++) {
    const start = performance.now();
    box.dispatchEvent(new KeyboardEvent('keydown', { key: 'c', bubbles: true }));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));  // painted
    times.push(performance.now() - start);
    await new Promise((done) => setTimeout(done, 100));
  }
  return times;
}"""


class Person:
    """Counts what a person does: a key, a click, a text typed."""

    def __init__(self, page: Page):
        self.page = page
        self.acts = 0

    def key(self, name: str) -> None:
        self.acts += 1
        self.page.keyboard.press(name)

    def click(self, selector: str) -> None:
        self.acts += 1
        self.page.click(selector)

    def point(self, x: float, y: float) -> None:
        self.acts += 1
        box = self.page.locator("#map").bounding_box()
        assert box
        self.page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])

    def type(self, selector: str, text: str) -> None:
        self.acts += 1
        self.page.fill(selector, text)


def work(page: Page):
    """The technologist's script; (what, acts, seconds) of each part."""
    person = Person(page)
    start = time.perf_counter()

    def part(name):
        nonlocal start
        found = name, person.acts, time.perf_counter() - start
        person.acts = 0
        start = time.perf_counter()
        return found

    person.key("g")
    for n in range(100):
        person.key("1" if n % 10 == 9 else "c")
    expect(page.locator("#toast")).not_to_have_text("", timeout=60_000)
    page.wait_for_selector(".thumb .mark.sent", state="detached", timeout=60_000)
    yield part("100 cells reviewed, 10 of them renamed")
    found = int(page.locator("#white").inner_text().rsplit(" ", 1)[1])
    for number, (x, y) in enumerate(MISSED, 1):
        person.click("#fit")
        person.key("+")
        person.point(x, y)
        expect(page.locator("#toast")).to_contain_text("marked", timeout=60_000)
        expect(page.locator("#white")).to_contain_text(f"of {found + number}")
    yield part("2 missed cells marked")
    person.key("n")
    person.key("a")
    person.click("#see-all")
    expect(page.locator("#alerts-told")).to_contain_text("0 open", timeout=30_000)
    yield part("alerts acknowledged")
    yield from signed(person, part, "signed")
    person.click("#amend")
    person.type("#reason", "one cell renamed")
    person.click("#amend-box button.primary")
    page.wait_for_selector("#sign:not([hidden])")
    person.key("g")
    person.key("2")
    yield part("amended")
    yield from signed(person, part, "signed again")


def signed(person: Person, part, name: str):
    person.click("#sign")
    person.type("#again", local_name())
    person.click("#sign-box button.primary")
    person.page.wait_for_selector("#amend:not([hidden])")
    yield part(name)


def technologist(slide: Path, folder: Path):
    store = folder / "store"
    command = [sys.executable, "-m", "stream.cli", "run", str(slide)]
    subprocess.run([*command, "--sink", "none", "--store", str(store)], check=True)
    site = Site(folder, store=store)
    try:
        with sync_playwright() as run:
            page = opened(run, site, site.address_of(slide))
            parts = list(work(page))
        yield from parts
        yield "in all", sum(acts for _, acts, _ in parts), sum(s for *_, s in parts)
    finally:
        site.stop()


def opened(run, site: Site, address: str) -> Page:
    words = ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
    browser = run.chromium.launch(executable_path=CHROMIUM, args=words)
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.goto(site.opened)
    page.goto(address, wait_until="commit")
    page.wait_for_selector(".thumb img", state="attached", timeout=120_000)
    page.wait_for_selector("body[data-ready=yes]", timeout=120_000)
    return page


def heap_mb(session) -> float:
    session.send("HeapProfiler.collectGarbage")
    return session.send("Runtime.getHeapUsage")["usedSize"] / 1e6


def long_work(folder: Path, minutes: float):
    site = Site(folder)
    site.made.add(CELLS)
    site.made.done()
    try:
        with sync_playwright() as run:
            page = opened(run, site, site.slide)  # what the server must read once is read
            page.reload(wait_until="commit")
            start = time.perf_counter()
            page.wait_for_selector(".thumb img", state="attached", timeout=120_000)
            yield "first cells, s", time.perf_counter() - start
            page.wait_for_selector("body[data-ready=yes]", timeout=120_000)
            page.keyboard.press("g")
            times = page.evaluate(DECIDE, 60)
            yield "a decision on the screen, ms, median", statistics.median(times)
            yield "a decision on the screen, ms, 95 of 100", sorted(times)[int(0.95 * len(times))]
            session = page.context.new_cdp_session(page)
            session.send("HeapProfiler.enable")
            yield "memory at the beginning, MB", heap_mb(session)
            yield "decisions", decide_on(page, minutes)
            page.wait_for_selector(".thumb .mark.sent", state="detached", timeout=60_000)
            yield f"memory after {minutes:g} minutes, MB", heap_mb(session)
    finally:
        site.close()


def decide_on(page: Page, minutes: float) -> int:
    """Keys at an even pace, over the slide again and again, each pass by another class."""
    end = time.monotonic() + 60 * minutes
    count = 0
    passes = 0
    page.keyboard.press("Home")
    while time.monotonic() < end:
        page.keyboard.press("1234"[passes % 4])
        count += 1
        if page.locator("#selected").inner_text() == "":  # past the last cell
            passes += 1
            page.keyboard.press("Home")
        page.wait_for_timeout(1000 / KEYS_A_SECOND)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path, nargs="?")
    parser.add_argument("--minutes", type=float, default=60)
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        if options.slide:
            for what, acts, seconds in technologist(options.slide.resolve(), Path(folder)):
                console.print(json.dumps({"part": what, "acts": acts, "s": round(seconds, 1)}))
            return
        for what, value in long_work(Path(folder), options.minutes):
            console.print(json.dumps({what: round(value, 2)}))


if __name__ == "__main__":
    main()
