"""`python -m tests.tools.bench.page`: the review page with many cells, in a real Chromium and under
many users.
"""

import argparse
import asyncio
import json
import re
import statistics
import tempfile
import threading
import time
from pathlib import Path

import httpx2
from playwright.sync_api import expect, sync_playwright
from rich.console import Console

from tests.browser.conftest import CHROMIUM, Site

FRAMES = """async () => {
  const box = document.querySelector('#gallery'); const times = []; let last = performance.now();
  for (let n = 0; n < 240; n++) {
    box.scrollTop += 180;
    await new Promise(requestAnimationFrame);
    const now = performance.now(); times.push(now - last); last = now;
  }
  return times;
}"""


def percentile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def arrived(page, cells):
    expect(page.locator("#white")).to_have_text(re.compile(f"of {cells}$"), timeout=240_000)


def browse(site, cells):
    """Time to first cells and to all of them, frame times while scrolling, memory; then live cells,
    counted.
    """
    with sync_playwright() as run:
        words = ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
        browser = run.chromium.launch(executable_path=CHROMIUM, args=words)
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.goto(site.opened)
        start = time.perf_counter()
        page.goto(site.slide, wait_until="commit")
        page.wait_for_selector(".thumb img", state="attached", timeout=120_000)
        yield "first cells, s", time.perf_counter() - start
        arrived(page, cells)
        page.wait_for_selector("body[data-ready=yes]", timeout=120_000)
        yield "all cells, s", time.perf_counter() - start
        times = page.evaluate(FRAMES)
        yield "scroll frame, ms, median", statistics.median(times)
        yield "scroll frame, ms, p95", percentile(times, 0.95)
        yield "page memory, MB", page.evaluate("performance.memory.usedJSHeapSize") / 1e6
        yield from live(site, page, cells)
        browser.close()


def live(site, page, cells, rate=100, seconds=10):
    """Cells come at a rate; every one must reach the page."""
    site.made.say("running")

    def feed():
        for _ in range(seconds * 4):
            started = time.perf_counter()
            site.made.add(rate // 4, store=False)
            time.sleep(max(0, 0.25 - (time.perf_counter() - started)))

    feeder, start = threading.Thread(target=feed), time.perf_counter()
    feeder.start()
    feeder.join()
    fed = time.perf_counter() - start
    total = cells + rate * seconds
    arrived(page, total)
    yield "live, cells/s fed", rate * seconds / fed
    yield "live, s behind at the end", time.perf_counter() - start - fed
    shown = page.locator("#white").inner_text()
    yield "live, cells dropped", total - int(shown.rsplit(" ", 1)[1])


async def load(site, users, each):
    """Latencies of API calls under parallel users, ms."""
    slide = f"/api/slides/{site.made.slide.slide_id}"
    shelf = site.library.shelf(site.made.slide.slide_id)
    async with httpx2.AsyncClient(base_url=site.url, timeout=120) as http:
        await http.get(site.opened)
        cells = [c[1] for c in (await http.get(f"{slide}/changes?limit=1000")).json()["cells"]]
        last = shelf.found.last_row
        me = (await http.get("/api/me")).json()
        calls = {
            "worklist": lambda n: http.get("/api/slides"),
            "changes (nothing new)": lambda n: http.get(f"{slide}/changes?row={last}"),
            "changes (1,000 cells)": lambda n: http.get(f"{slide}/changes?limit=1000"),
            "cell": lambda n: http.get(f"{slide}/cells/{cells[n % len(cells)]}"),
            "cell image": lambda n: http.get(f"{slide}/cells/{cells[n % len(cells)]}/image"),
            "tile": lambda n: http.get(f"{slide}/tiles/10/{n % 2}/{n // 2 % 2}"),
            "decision": lambda n: http.post(
                f"{slide}/decisions",
                headers={"X-CSRF-Token": me["csrf"]},
                json={
                    "action": "confirm",
                    "cell_ids": [cells[n % len(cells)]],
                    "saw": shelf.standing.number,
                    "row": last,
                },
            ),
        }
        for name, call in calls.items():
            times = []

            async def user(k, call=call, times=times):
                for n in range(each):
                    start = time.perf_counter()
                    answer = await call(k * each + n)
                    times.append(1e3 * (time.perf_counter() - start))
                    assert answer.status_code == 200, answer.text

            await asyncio.gather(*(user(k) for k in range(users)))
            yield f"p95 of {name}, {users} users, ms", percentile(times, 0.95)


async def report(site, users, each, say):
    async for name, value in load(site, users, each):
        say(name, value)


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--cells", type=int, default=20_000)
    words.add_argument("--users", type=int, default=20)
    words.add_argument("--each", type=int, default=20)
    asked = words.parse_args()
    figures, screen = {}, Console(stderr=True)

    def say(name, value):
        figures[name] = round(value, 2)
        screen.print(f"{name:45} {value:9.2f}", highlight=False)

    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), requests_per_s=1e6)
        while site.made.cells < asked.cells:
            site.made.add(min(1000, asked.cells - site.made.cells), odd=2)
        site.made.done()
        try:
            for name, value in browse(site, asked.cells):
                say(name, value)
            asyncio.run(report(site, asked.users, asked.each, say))
        finally:
            site.close()
    print(json.dumps(figures))


main()
