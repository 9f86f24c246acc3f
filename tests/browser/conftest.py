"""A real Chromium before a real server: the page as a haematologist has it. Skips where there
is no browser.
"""

import shutil
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from ingest import open_workers
from stream.config import Config, ReviewSettings
from stream.oauth import OpenIdProvider
from stream.review.slides import SlideLibrary
from stream.review.web.accounts import Accounts
from stream.review.web.app import Setting, make_app
from tests.cheap_hashes import cheap_hashes  # noqa: F401
from tests.stores import Filled

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
PASSWORD = "correct horse battery"
# messages stay until the next one comes, so that a slow machine can read them
MESSAGES_STAY = """(() => {
    const later = setTimeout;
    globalThis.setTimeout = (act, ms, ...rest) => (ms < 3000 ? later(act, ms, ...rest) : 0);
})()"""
SIZES = {"desk": {"width": 1366, "height": 768}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="package")  # Playwright holds an event loop open in this thread
def chromium():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the test extra is not installed"
    )
    if not CHROMIUM:
        pytest.skip("no Chromium: apt-get install chromium")
    playwright.expect.set_options(timeout=30_000)  # the machine may do other work, too
    with playwright.sync_playwright() as run:
        browser = run.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


class Site:
    """A store and the server over it, which can be stopped and started again at the same
    address.
    """

    path = ""  # that a proxy serves it under

    def __init__(
        self, folder, mode="local", name="smear.tiff", store=None, oidc=None, config=None, **review
    ):
        """With a `store` it serves that one, else a new one that the test fills; `oidc` gives the
        settings of sign-in for the page's address; a `config` stands in place of `review`.
        """
        self.folder = folder
        self.mode = mode
        self.made = None if store else Filled(folder / "store", name=name)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        signing_in = {"oidc": oidc(address=self.url)} if oidc else {}
        self.config = config or Config(review=ReviewSettings(look_s=0.05, **signing_in, **review))
        self.start()

    @property
    def opened(self):
        """The address that the command prints."""
        doors = self.app.state.doors
        return f"{self.url}/open?secret={doors.local_secret}" if doors.mode == "local" else self.url

    @property
    def slide(self):
        return f"{self.url}/slides/{self.made.slide.slide_id}"

    def address_of(self, path):
        """The page of the slide that was read at a path."""
        outbox = self.library.outbox
        read = {outbox.facts(name)["slide"]["path"]: name for name in outbox.slide_ids()}
        return f"{self.url}/slides/{read[str(path)]}"

    def start(self):
        import uvicorn

        self.stack = ExitStack()
        self.accounts = Accounts(self.folder / "store")
        self.stack.callback(self.accounts.close)
        kept = self.config.review.audit_folder
        custody = Path(kept) if kept else None
        library = SlideLibrary(self.folder / "store", self.config, custody)
        self.library = self.stack.enter_context(library)
        workers = self.stack.enter_context(open_workers(0))
        provider = OpenIdProvider(self.config.review.oidc) if self.mode == "oidc" else None
        setting = Setting(self.mode, provider=provider)
        self.app = make_app(self.library, self.accounts, workers, self.config, setting)
        self.server = uvicorn.Server(
            uvicorn.Config(
                self.behind_proxy,
                interface="asgi3",
                port=self.port,
                log_level="warning",
                timeout_graceful_shutdown=2,
            )
        )
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        end = time.monotonic() + 30
        while not self.server.started and time.monotonic() < end:
            time.sleep(0.02)

    async def behind_proxy(self, scope, receive, send):
        """The app as `location PATH/ { proxy_pass http://127.0.0.1:8765/; }` reaches it."""
        if "path" in scope:
            path = scope["path"].removeprefix(self.path)
            scope = {
                **scope,
                "path": path,
                "raw_path": scope["raw_path"].removeprefix(self.path.encode()),
            }
        await self.app(scope, receive, send)

    def stop(self):
        self.server.should_exit = True
        self.thread.join(30)
        self.stack.close()

    def close(self):
        self.stop()
        if self.made:
            self.made.close()


@pytest.fixture
def open_site(tmp_path):
    with ExitStack() as stack:

        def open_site(mode="local", name="smear.tiff", **more):
            site = Site(tmp_path, mode, name, **more)
            stack.callback(site.close)
            return site

        yield open_site


@pytest.fixture
def open_page(chromium):
    """A page of its own browser context; what its console and scripts complain about is kept
    in `page.complaints`.
    """
    with ExitStack() as stack:

        def open_page(size="desk", scheme="light"):
            touch = size == "phone"
            context = chromium.new_context(
                viewport=SIZES[size], color_scheme=scheme, has_touch=touch, is_mobile=touch
            )
            stack.callback(context.close)
            context.set_default_timeout(30_000)
            context.add_init_script(MESSAGES_STAY)
            page = context.new_page()
            page.complaints = []
            page.on("pageerror", lambda error: page.complaints.append(str(error)))
            page.on("dialog", lambda dialog: page.complaints.append(f"dialog {dialog.message}"))
            page.on(
                "console",
                lambda message: (
                    page.complaints.append(message.text) if message.type == "error" else None
                ),
            )
            return page

        yield open_page


def ready(page, site):
    if site.mode == "local" and not page.context.cookies():
        page.goto(site.opened)
    page.goto(site.slide)
    page.wait_for_selector("body[data-ready=yes]")
    return page


def in_middle(page, cell_id):
    """Waits until the viewer shows the cell in the middle, with the outlines of what it shows."""
    from playwright.sync_api import expect

    expect(page.locator(f"#map[data-middle='{cell_id}'] canvas.boxes")).to_be_visible()


def whole_slide(page):
    """Shows the whole slide in the viewer and waits for all its tiles, of one level."""
    page.locator("#fit").click()
    page.wait_for_function(
        """() => {
            const tiles = [...document.querySelectorAll('.leaflet-tile')];
            const levels = [...document.querySelectorAll('.leaflet-tile-container')];
            return tiles.length && tiles.every((t) => t.classList.contains('leaflet-tile-loaded'))
                && levels.filter((level) => level.childElementCount).length === 1;
        }"""
    )


def counted(page, name):
    """The count of a class as the page shows it."""
    return int(page.locator(f"#count-rows tr[data-class={name}] .count-n").inner_text())


def log_in(page, site, name, role="reviewer"):
    site.accounts.set(name, role, PASSWORD)
    page.goto(site.url)
    page.fill("#name", name)
    page.fill("#password", PASSWORD)
    page.click("button.primary")
    page.wait_for_selector("#rows tr")
    return ready(page, site)
