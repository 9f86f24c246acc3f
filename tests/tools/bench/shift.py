"""`python -m tests.tools.bench.shift [SLIDE]`: a technologist's work at the review page, by script
in a real Chromium.

With a slide: 100 cells reviewed, ten of them renamed to blast, two missed cells marked, the alerts
acknowledged, signed, amended, signed again: acts of the person, and seconds. `--single` decides on
each cell by its key, else what is in sight is confirmed as a group; `--store` takes the folder of a
run that is done. `--earlier CHECKOUT` does the same at the page of an earlier commit, as far as it
can be done there, on made cells. Without: a slide of 10,000 cells; how long until the first cells
are there, until a decision is on the screen, and what the tab holds (heap, nodes, listeners) while
decisions go on for `--minutes`.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright
from rich.console import Console
from scipy.stats import linregress, t

from stream.review.web.auth import local_name
from tests.browser.conftest import CHROMIUM, Site

CELLS = 10_000
KEYS_A_SECOND = 10
ANSWERED_MS = 300_000  # also on a machine that does much else
REST_MS = 200  # between two keys of the long work
MISSED = ((0.30, 0.35), (0.70, 0.65))  # of the viewer, after the slide is shown whole and zoomed
FIRST = """() => {
  const pictures = [...document.querySelectorAll('.thumb img')];
  return pictures.some((i) => i.complete && i.naturalWidth) && performance.now();
}"""
# from the press of a key to the frame that shows what it did
PRESSED = """() => {
  globalThis.pressed = [];
  addEventListener('keydown', (event) => requestAnimationFrame(
    () => setTimeout(() => pressed.push(performance.now() - event.timeStamp))), true);
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


def review_single(person: Person) -> None:
    """Each cell by a key, which leads to the next."""
    for n in range(100):
        person.key("1" if n % 10 == 9 else "c")


def review_in_sight(person: Person) -> None:
    """Ten of the cells in sight are renamed, the others confirmed together, until 100 are done."""
    page = person.page
    renamed = 0
    while verified(page) < 100:
        for _ in range(min(3, 10 - renamed)):
            person.acts += 1
            page.locator(".thumb:not(:has(.mark))").nth(1).click()
            person.key("1")
            renamed += 1
        page.wait_for_function(
            "() => [...document.querySelectorAll('.thumb img')].every((i) => i.complete)"
        )
        before = verified(page)
        person.key("Shift+C")
        expect(page.locator("#tally")).not_to_have_text(f"{before} of")


def verified(page: Page) -> int:
    """White cells that are decided on."""
    return int(page.locator("#tally").inner_text().split()[0])


def earlier_work(page: Page):
    """The script at the page of an earlier commit: a key lands on the cell that is chosen when the
    one before was answered, and a missed cell cannot be marked.
    """
    person = Person(page)
    start = time.perf_counter()
    person.key("g")
    person.key("ArrowRight")
    for n in range(100):
        with page.expect_response("**/decisions"):
            person.key("1" if n % 10 == 9 else "c")
    yield "100 cells reviewed, 10 of them renamed", person.acts, time.perf_counter() - start
    person.acts = 0
    start = time.perf_counter()
    person.key("n")
    person.key("a")
    person.click("#see-all")
    page.wait_for_selector("#see-all", state="hidden")
    yield "alerts acknowledged", person.acts, time.perf_counter() - start
    for name in ("signed", "amended and signed again"):
        person.acts = 0
        start = time.perf_counter()
        if name != "signed":
            person.click("#amend")
            person.type("#reason", "one cell renamed")
            person.click("#amend-box button.primary")
            page.wait_for_selector("#sign:not([hidden])")
            person.key("g")
            with page.expect_response("**/decisions"):
                person.key("2")
        person.click("#sign")
        person.click("#sign-box button.primary")
        page.wait_for_selector("#amend:not([hidden])")
        yield name, person.acts, time.perf_counter() - start


SERVE = """
import pathlib, sys, tempfile
from tests.browser.conftest import Site
with tempfile.TemporaryDirectory() as folder:
    site = Site(pathlib.Path(folder))
    site.made.add(296, odd=3)
    site.made.done()
    print(site.slide, flush=True)
    sys.stdin.read()
    site.close()
"""


def earlier(checkout: Path):
    """The script at the page of a checkout, which serves made cells."""
    command = [sys.executable, "-c", SERVE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=checkout, stdin=pipe, stdout=pipe, text=True) as server:
        address = server.stdout.readline().strip()
        with sync_playwright() as run:
            browser = run.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            page.goto(address)
            page.wait_for_selector("body[data-ready=yes]")
            parts = list(earlier_work(page))
            browser.close()
        server.stdin.close()
    yield from parts
    yield "in all", sum(acts for _, acts, _ in parts), sum(s for *_, s in parts)


def work(page: Page, single: bool):
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
    (review_single if single else review_in_sight)(person)
    expect(page.locator("#toast")).not_to_have_text("", timeout=60_000)
    page.wait_for_selector(".thumb .mark.sent", state="detached", timeout=60_000)
    yield part("100 cells reviewed, 10 of them renamed")
    found = int(page.locator("#white").inner_text().rsplit(" ", 1)[1])
    for number, (x, y) in enumerate(MISSED, 1):
        person.click("#fit")
        person.key("+")
        with page.expect_response("**/marks", timeout=120_000) as answer:
            person.point(x, y)
        assert answer.value.ok, answer.value.text()
        expect(page.locator("#white")).to_contain_text(f"of {found + number}", timeout=60_000)
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


def technologist(slide: Path, folder: Path, single: bool, ready: Path | None = None):
    store = folder / "store"
    if ready:
        shutil.copytree(ready, store)
    else:
        command = [sys.executable, "-m", "stream.cli", "run", str(slide)]
        subprocess.run([*command, "--sink", "none", "--store", str(store)], check=True)
    site = Site(folder, store=store)
    try:
        with sync_playwright() as run:
            page = opened(run, site, site.address_of(slide))
            parts = list(work(page, single))
        yield from parts
        yield "in all", sum(acts for _, acts, _ in parts), sum(s for *_, s in parts)
    finally:
        site.stop()


def opened(run, site: Site, address: str) -> Page:
    """The page of a slide, with its cells and its viewer."""
    page = begun(run, site, address)
    page.wait_for_selector(".thumb img", state="attached", timeout=120_000)
    page.wait_for_selector("body[data-ready=yes]", timeout=120_000)
    return page


def begun(run, site: Site, address: str) -> Page:
    """A page in a browser of its own, as soon as the server answers."""
    words = ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
    browser = run.chromium.launch(executable_path=CHROMIUM, args=words)
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(site.opened)
    page.goto(address, wait_until="commit")
    return page


def long_work(folder: Path, minutes: float):
    """Figures of a slide of 10,000 cells: first cells, a decision, and what the tab holds by time
    while a person works; all cells are decided on before, so that no decision adds to it.
    """
    site = Site(folder)
    site.made.add(CELLS, odd=20)
    site.made.done()
    try:
        with sync_playwright() as run:
            page = begun(run, site, site.slide)
            yield {"first cells, first visit, s": seconds_to_cells(page)}
            yield {"first cells, 9 visits, s": [seconds_to_cells(again(page)) for _ in range(9)]}
            times = decision_times(page)
            yield {"a decision on the screen, ms": quartiles(times), "of": len(times)}
            decide_on_all(page)
            yield {"decided": len(site.library.shelf(site.made.slide.slide_id).standing.decisions)}
            samples = []
            for sample in memory_by_time(page, minutes):
                samples.append(sample)
                yield sample
            yield from slopes(samples)
    finally:
        site.close()


def again(page: Page) -> Page:
    page.reload(wait_until="commit")
    return page


def seconds_to_cells(page: Page) -> float:
    """From the navigation to the first picture of a cell that is there."""
    seconds = page.wait_for_function(FIRST, timeout=120_000).json_value() / 1000
    page.wait_for_selector("body[data-ready=yes]", timeout=120_000)
    return round(seconds, 3)


def decision_times(page: Page, presses: int = 60) -> list[float]:
    page.keyboard.press("g")
    page.evaluate(PRESSED)
    for _ in range(presses):
        page.keyboard.press("c")
        page.wait_for_timeout(1000 / KEYS_A_SECOND)
    page.wait_for_function("(n) => pressed.length === n", arg=presses)
    return page.evaluate("pressed")


def quartiles(times: list[float]) -> dict[str, float]:
    first, median, third = statistics.quantiles(times, n=4)
    worst = sorted(times)[int(0.95 * len(times))]
    found = {"25 %": first, "median": median, "75 %": third, "95 %": worst}
    return {name: round(value, 1) for name, value in found.items()}


def decide_on_all(page: Page) -> None:
    """Class by class, as a group."""
    classes = page.locator("#count-rows tr[data-class]:not(.none) button.name")
    for place in range(classes.count()):
        classes.nth(place).click()
        page.keyboard.press("Control+a")
        page.keyboard.press("c")
        expect(page.locator(".thumb .mark.sent")).to_have_count(0, timeout=60_000)


def memory_by_time(page: Page, minutes: float):
    """What the tab holds after its garbage is collected, each minute."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    begun = time.monotonic()
    acts = 0
    for minute in range(round(minutes) + 1):
        while time.monotonic() < begun + 60 * minute:
            acts += piece_of_work(page, acts)
        session.send("HeapProfiler.collectGarbage")
        counts = session.send("Memory.getDOMCounters")
        heap = session.send("Runtime.getHeapUsage")["usedSize"] / 1e6
        yield {
            "minutes": round((time.monotonic() - begun) / 60, 2),
            "acts": acts,
            "heap, MB": round(heap, 3),
            "nodes": counts["nodes"],
            "listeners": counts["jsEventListeners"],
            "errors": len(page.complaints),
        }


def piece_of_work(page: Page, before: int) -> int:
    """Decisions by keys, one taken back, an alert, cells side by side, the whole slide, a filter;
    returns how many acts.
    """
    if page.locator("#selected").inner_text() == "":  # past the last cell, or past an alert
        page.keyboard.press("Home")
    for number in range(20):
        page.keyboard.press("1234"[(before // 20 + number // 5) % 4])
        page.wait_for_timeout(REST_MS)
    expect(page.locator(".thumb .mark.sent")).to_have_count(0, timeout=ANSWERED_MS)
    page.keyboard.press("Control+z")
    page.keyboard.press("n")
    page.keyboard.press("g")
    page.keyboard.press("Home")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("x")
    expect(page.locator("#compare-box")).to_be_visible(timeout=ANSWERED_MS)
    page.keyboard.press("Escape")
    expect(page.locator("#compare-box")).to_be_hidden()
    page.click("#fit")
    for chosen in ("alerts", "all"):
        page.select_option("#filter", chosen)
    page.keyboard.press("g")
    return 29


def slopes(samples: list[dict[str, float]]):
    """Least squares over all but the first tenth, with 95 % intervals."""
    kept = samples[max(1, len(samples) // 10) :]
    if len(kept) < 3:
        return
    for name in ("heap, MB", "nodes", "listeners"):
        hours = [sample["minutes"] / 60 for sample in kept]
        fit = linregress(hours, [sample[name] for sample in kept])
        half = t.ppf(0.975, len(kept) - 2) * fit.stderr if fit.stderr else 0.0
        interval = [round(float(fit.slope + side * half), 3) for side in (-1, 1)]
        yield {f"{name} an hour": round(float(fit.slope), 3), "95 %": interval}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path, nargs="?")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--single", action="store_true")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--earlier", type=Path)
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        if options.slide or options.earlier:
            parts = (
                earlier(options.earlier)
                if options.earlier
                else technologist(
                    options.slide.resolve(), Path(folder), options.single, options.store
                )
            )
            for what, acts, seconds in parts:
                console.print(json.dumps({"part": what, "acts": acts, "s": round(seconds, 1)}))
            return
        for figures in long_work(Path(folder), options.minutes):
            print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
