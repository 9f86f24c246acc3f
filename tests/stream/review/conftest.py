"""The page over a small real store, asked without a network."""

from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from starlette.testclient import TestClient

from ingest import open_workers
from stream.config import Config, ReviewSettings
from stream.intake import Served, intake_router
from stream.oauth import OpenIdProvider
from stream.review.slides import SlideLibrary
from stream.review.web.accounts import Accounts
from stream.review.web.app import Setting, make_app
from stream.review.web.auth import local_name
from stream.store import Backlog
from tests.cheap_hashes import cheap_hashes  # noqa: F401
from tests.oidc_provider import Provider
from tests.stores import Filled, filled

PASSWORD = "correct horse battery"
AT = "http://127.0.0.1"
PROXY_SECRET = "c" * 40


@dataclass
class Client:
    """A person at a page: sends the stamp of the session along with every change."""

    http: TestClient

    def get(self, path, **options):
        return self.http.get(path, **options)

    def post(self, path, body=None, **options):
        stamp = self.http.get("/api/me").json()
        headers = {"X-CSRF-Token": stamp.get("csrf", ""), **options.pop("headers", {})}
        return self.http.post(path, json=body or {}, headers=headers, **options)


@dataclass
class Lab:
    """A store, its page, and a client; `slide` is the path of the slide in the API."""

    made: Filled
    library: SlideLibrary
    accounts: Accounts
    app: object
    one: Client

    @property
    def slide(self):
        return f"/api/slides/{self.made.slide.slide_id}"

    def person(self, name=None, role="reviewer"):
        """Another browser; with a name it has logged in."""
        http = TestClient(self.app, base_url=AT)
        if name:
            self.accounts.set(name, role, PASSWORD)
            assert (
                http.post("/api/login", json={"name": name, "password": PASSWORD}).status_code
                == 200
            )
        return Client(http)

    def cells(self):
        return [c[1] for c in self.one.get(f"{self.slide}/changes").json()["cells"]]

    def number(self):
        return self.one.get(f"{self.slide}/changes").json()["standing"]["number"]

    def see_all(self):
        alerts = [a["alert_id"] for a in self.one.get(f"{self.slide}/changes").json()["alerts"]]
        return self.one.post(f"{self.slide}/acknowledgements", {"alert_ids": alerts, "saw": 0})

    def sign(self, **more):
        return self.one.post(
            f"{self.slide}/signatures", {"saw": self.number(), "name": local_name(), **more}
        )

    def stranger(self):
        """A browser that nobody has let in."""
        return TestClient(self.app, base_url=AT, follow_redirects=False)

    def opened(self):
        """A browser that has followed the printed address."""
        http = TestClient(self.app, base_url=AT)
        if self.app.state.doors.mode == "local":
            http.get(f"/open?secret={self.app.state.doors.local_secret}")
        return Client(http)


@pytest.fixture
def provider():
    """An OpenID Connect provider."""
    made = Provider()
    yield made
    made.close()


@pytest.fixture
def open_lab(tmp_path):
    """Opens a page over a store; it is closed at the end."""
    with ExitStack() as stack:

        def open_lab(
            mode="local", made=None, proxy_secret=PROXY_SECRET, scans=(), identity=None, **review
        ):
            store = tmp_path / "store"
            made = made or filled(store)
            stack.callback(made.close)
            config = Config(review=ReviewSettings(**review), identity=identity or {})
            accounts = Accounts(store)
            stack.callback(accounts.close)
            library = stack.enter_context(SlideLibrary(store, config))
            workers = stack.enter_context(open_workers(0))
            door = None
            if scans:
                backlog = Backlog(library.outbox, config.backlog)
                door = intake_router(backlog, Served(tuple(scans)))
            provider = OpenIdProvider(config.review.oidc) if mode == "oidc" else None
            setting = Setting(mode, proxy_secret=proxy_secret, provider=provider, door=door)
            app = make_app(library, accounts, workers, config, setting)
            stack.callback(app.state.parts.close)
            lab = Lab(made, library, accounts, app, Client(TestClient(app, base_url=AT)))
            lab.one = lab.opened()
            return lab

        yield open_lab


@pytest.fixture
def lab(open_lab):
    return open_lab()
