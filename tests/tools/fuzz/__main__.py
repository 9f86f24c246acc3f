"""`python -m tests.tools.fuzz --examples 2000`: what hypothesis makes up, for everything that reads
words from outside. Only an error of this program may come of it, or an answer below 500.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from classify import read_card
from ingest import CytostreamError
from stream.config import BacklogSettings, load_config
from stream.events.codec import from_line, from_record, to_line
from stream.http.limits import Bucket, Caller, Limits, Shield, client_address
from stream.intake.http import Guard, Served, make_intake_app
from stream.store import Backlog, Outbox
from tests.stream.making import make_events

TEXT = st.text(max_size=60)
ATOM = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUE = st.recursive(
    ATOM, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)
SECTIONS = st.sampled_from(["kafka", "review", "reading", "watch", "alerts", "store", "backlog"])
HEADERS = st.sampled_from([b"host", b"x-forwarded-for", b"content-length", b"cookie", b"origin"])
METHODS = st.sampled_from(["POST", "POST", "POST", "GET", "PUT", "DELETE", "OPTIONS"])
PATHS = st.sampled_from(["/slides", "/slides", "/slides/1", "/slides/", "/", "/docs"]) | TEXT.map(
    lambda text: f"/slides/{quote(text)}"
)
MEDIA = st.sampled_from(["application/json", "application/json", "text/plain", ""])
PLACES = st.sampled_from(
    ["scans/a.svs", "scans/../outside.svs", "outside.svs", "scans/quarantine/b.svs", "scans", ""]
)
EVENT = json.loads(to_line(make_events(1)[0]))


def announcements() -> st.SearchStrategy[bytes]:
    """Bodies that are nearly right: `FOLDER` stands for the one with the slides."""
    path = PLACES.map(lambda place: f"FOLDER/{place}") | VALUE
    known = {"path": path}
    more = {"priority": st.sampled_from(["routine", "stat"]) | VALUE, "mpp": VALUE}
    bodies = st.fixed_dictionaries(known, optional=more) | st.dictionaries(TEXT, VALUE)
    return bodies.map(lambda body: json.dumps(body).encode())


@given(st.binary(max_size=300) | st.dictionaries(SECTIONS, VALUE).map(lambda v: str(v).encode()))
def configuration(content: bytes) -> None:
    read_as_file(content, load_config)


@given(st.binary(max_size=300) | st.dictionaries(TEXT, VALUE).map(lambda v: json.dumps(v).encode()))
def model_card(content: bytes) -> None:
    read_as_file(content, lambda path: read_card(path.parent), "card.json")


@given(st.binary(max_size=300) | st.dictionaries(st.sampled_from(sorted(EVENT)), VALUE))
def event_line(change: bytes | dict) -> None:
    line = change if isinstance(change, bytes) else json.dumps({**EVENT, **change})
    with suppress(CytostreamError):
        from_line(line)


@given(
    st.lists(st.tuples(st.sampled_from(["ce_id", "ce_type", "ce_time"]) | TEXT, st.binary())),
    st.binary(max_size=200),
)
def kafka_record(headers: list[tuple[str, bytes]], value: bytes) -> None:
    with suppress(CytostreamError):
        from_record(headers, value)


@given(st.lists(st.tuples(HEADERS, st.binary(max_size=60)), max_size=8), TEXT)
def request_head(headers: list[tuple[bytes, bytes]], path: str) -> None:
    async def app(*_: object) -> None:
        return None

    async def ignore(*_: object) -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "path": path, "client": ("192.0.2.1", 1), "headers": headers}
    client_address(scope, ("192.0.2.1",))
    limits = Limits(Bucket(1e9, 1e9), 1000)
    shield = Shield(app, limits, lambda _: Caller("a", False), lambda _: None)
    asyncio.run(shield(scope, ignore, ignore))


@contextmanager
def intake_over(folder: Path) -> Iterator[tuple[TestClient, Backlog]]:
    """The intake of a folder with one slide, asked without a network by somebody with the token."""
    scans = folder / "scans"
    (scans / "quarantine").mkdir(parents=True)
    for name in ("scans/a.svs", "scans/quarantine/b.svs", "outside.svs"):
        (folder / name).write_text("slide")
    with closing(Outbox(folder / "state.db")) as outbox:
        backlog = Backlog(outbox, BacklogSettings())
        guard = Guard("t" * 32, ["localhost"])
        app = make_intake_app(backlog, Served((scans,), (scans / "quarantine",)), guard)
        yield (
            TestClient(app, "http://localhost", headers={"Authorization": f"Bearer {'t' * 32}"}),
            backlog,
        )


@given(METHODS, PATHS, st.binary(max_size=300) | announcements(), MEDIA, st.booleans())
def intake_request(method: str, path: str, body: bytes, media: str, known: bool) -> None:
    """Whatever is asked: no fault of the server, and only the slide of the folder is queued."""
    with TemporaryDirectory() as folder, intake_over(Path(folder)) as (client, backlog):
        content = body.replace(b"FOLDER", folder.encode())
        headers = {"Content-Type": media} | ({} if known else {"Authorization": "Bearer x"})
        answer = client.request(method, path, content=content, headers=headers)
        assert answer.status_code < 500, (method, path, content, answer.text)
        queued = {job.path for job in backlog.jobs()}
        assert queued <= ({Path(folder).resolve() / "scans" / "a.svs"} if known else set())


def read_as_file(content: bytes, read: Callable[[Path], object], name: str = "a.toml") -> None:
    with TemporaryDirectory() as folder, suppress(CytostreamError):
        (Path(folder) / name).write_bytes(content)
        read(Path(folder) / name)


TARGETS = (configuration, model_card, event_line, kafka_record, request_head, intake_request)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=500, help="of each target")
    parser.add_argument("--files", type=int, default=100, help="damaged slides")
    options = parser.parse_args()
    for target in TARGETS:
        every = settings(
            max_examples=options.examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        every(target)()
        print(f"{target.__name__:<16} {options.examples} examples")
    if options.files:
        words = ["-m", "tests.tools.bench.fuzz", "--files", str(options.files)]
        raise SystemExit(subprocess.run([sys.executable, *words], check=False).returncode)


if __name__ == "__main__":
    main()
