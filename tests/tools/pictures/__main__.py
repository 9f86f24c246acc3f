"""`make pictures`: the pictures of the README, of the demo's generated cells: the page with a
chosen cell, and the report. Needs Chromium, and a minute.
"""

import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from stream.cli.commands.demo import run_demo
from tests.browser.conftest import CHROMIUM, Site

OUT = Path("docs/pictures")
SIZE = {"width": 1366, "height": 768}
MOST_BYTES = 150_000
SETTLES_MS = 8000  # pictures of cells and tiles of the slide arrive one after the other


def keep(page: Page, name: str) -> None:
    """Writes what a page shows as WebP, of a quality that keeps it small."""
    shown = Image.open(io.BytesIO(page.screenshot()))
    for quality in (85, 75, 65, 50, 35):
        shown.save(OUT / f"{name}.webp", quality=quality, method=6)
        if (OUT / f"{name}.webp").stat().st_size <= MOST_BYTES:
            break


def main() -> None:
    """Runs the demo in a folder of its own, and takes the pictures. A folder that is named keeps
    the demo for the next time.
    """
    if not CHROMIUM:
        sys.exit("no Chromium: make browser")
    OUT.mkdir(exist_ok=True)
    with TemporaryDirectory() as work, sync_playwright() as run:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else work)
        if not (folder / "store").is_dir():
            run_demo(folder).rename(folder / "store")
        site = Site(folder, store=folder / "store")
        words = ["--no-sandbox", "--disable-gpu"]
        browser = run.chromium.launch(executable_path=CHROMIUM, args=words)
        page = browser.new_context(viewport=SIZE).new_page()
        page.goto(site.opened)
        (slide_id,) = site.library.outbox.slide_ids()
        address = f"{site.url}/slides/{slide_id}"
        page.goto(address)
        page.wait_for_selector("body[data-ready=yes]")
        page.locator(".thumb").nth(2).click()
        expect(page.locator("#map[data-middle] canvas.boxes")).to_be_visible()
        page.wait_for_timeout(SETTLES_MS)
        keep(page, "page")
        page.goto(f"{address}/report")
        page.wait_for_timeout(SETTLES_MS)
        keep(page, "report")
        browser.close()
        site.close()


if __name__ == "__main__":
    main()
