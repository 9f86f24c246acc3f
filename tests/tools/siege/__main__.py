"""`python -m tests.tools.siege --seconds 60`: strangers and impatient people against a running
review page and a running intake. For each kind of load: how long a normal user waits for the
worklist, how long the watched folder takes to see a new file, memory and log of both servers.

`--tree DIR` besieges another checkout with the same loads; `--work DIR` keeps the slide and its
store for the next call.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil
from rich.console import Console
from rich.table import Table

PASSWORD = "correct horse battery"
HALF_OPEN, SLOW, BODIES, LOGINS, STREAMS, EXPORTS = 1050, 200, 4, 30, 60, 6
PIECES, PIECE = 6_100, b"x" * 65_536  # 400 MB
ASK_S, ARRIVE_S, LOOK_S = 0.2, 1.0, 0.1
PATIENCE_S = 10.0
PAGE_PORT, INTAKE_PORT = 18799, 18798
TLS = ssl.create_default_context()  # made once: it takes longer than a request


@dataclass
class Server:
    """A running server of the product."""

    process: subprocess.Popen
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss


@dataclass
class Site:
    """A page with an account and a watched folder, and what their normal users see."""

    page: Server
    intake: Server
    folder: Path
    slide_id: str
    waits_s: list[float] = field(default_factory=list)
    refused: int = 0
    seen_s: list[float] = field(default_factory=list)

    def client(self) -> httpx2.AsyncClient:
        limits = httpx2.Limits(max_connections=None)
        return httpx2.AsyncClient(
            base_url=self.page.url, timeout=PATIENCE_S, limits=limits, verify=TLS
        )

    async def logged_in(self) -> httpx2.AsyncClient:
        http = self.client()
        about = {"name": "ada", "password": PASSWORD}
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                if (await http.post("/api/login", json=about, timeout=120)).is_success:
                    return http
            await asyncio.sleep(1)  # others are still being refused


@dataclass(frozen=True)
class Product:
    """The commands of a checkout."""

    tree: Path
    home: Path

    def words(self, *arguments: object) -> list[str]:
        return [sys.executable, "-m", "stream.cli", *map(str, arguments)]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.home), "PYTHONPATH": str(self.tree)}

    def call(self, *arguments: object, typed: str = "") -> None:
        """Runs a command to its end, without a terminal, so that a password can be typed."""
        subprocess.run(
            self.words(*arguments),
            cwd=self.tree,
            env=self.environment,
            input=typed.encode(),
            start_new_session=True,
            capture_output=True,
            check=True,
        )

    @contextlib.contextmanager
    def serve(self, port: int, ready: bytes, *arguments: object) -> Iterator[Server]:
        """Runs a server until the end; `ready` is what it writes, or the page at "/" answers."""
        log = self.home / f"{arguments[0]}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                self.words(*arguments), cwd=self.tree, env=self.environment, stderr=out
            )
        try:
            while not (re.search(ready, log.read_bytes()) or answers(port)):
                if process.poll() is not None:
                    raise SystemExit(log.read_text())
                time.sleep(0.1)
            yield Server(process, port, log)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def answers(port: int) -> bool:
    try:
        return bool(httpx2.get(f"http://127.0.0.1:{port}/", timeout=1, verify=TLS).status_code)
    except httpx2.HTTPError:
        return False


def prepare(product: Product, work: Path) -> None:
    """A slide of some hundred cells that was run, with outlines and red cells, and an account."""
    slide = work / "smear.tiff"
    if (work / "store" / "access.db").exists():
        return
    size = "--width-px", 3072, "--height-px", 3072, "--whites-per-mm2", 500
    product.call("simulate", slide, *size)
    product.call("run", slide, "--store", work / "store", "--sink", "none")
    add = "accounts", "add", "ada", "--role", "admin", "--store", work / "store"
    product.call(*add, typed=f"{PASSWORD}\n{PASSWORD}\n")


@contextlib.contextmanager
def site_over(product: Product, work: Path) -> Iterator[Site]:
    """`cytostream serve` over a finished slide and `cytostream watch` over an empty folder."""
    prepare(product, work)
    folder = Path(tempfile.mkdtemp(prefix="scans", dir=work))
    config = work / "watch.toml"
    config.write_text(f"[watch]\nlook_s = {LOOK_S}\n[backlog]\ntries = 1\n")
    store = work / "store"
    page_words = "serve", "--store", store, "--sink", "none", "--port", PAGE_PORT
    watch_words = "watch", folder, "--store", folder.with_suffix(".store"), "--sink", "none"
    more = "--config", config, "--workers", 1, "--door", f"127.0.0.1:{INTAKE_PORT}"
    with sqlite3.connect(store / "state.db") as state:
        ((slide_id,),) = state.execute("SELECT DISTINCT slide_id FROM cells")
    with (
        product.serve(PAGE_PORT, b"review page: ", *page_words) as page,
        product.serve(INTAKE_PORT, b"listening", *watch_words, *more) as intake,
    ):
        yield Site(page, intake, folder, slide_id)


async def connect(server: Server, first: bytes) -> asyncio.StreamWriter | None:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(first)
        return writer
    return None


async def half_open(site: Site) -> None:
    """Many connections that begin a request and wait."""
    servers = site.page, site.intake
    lines = [
        await connect(s, b"GET / HTTP/1.1\r\nhost:") for s in servers for _ in range(HALF_OPEN)
    ]
    await asyncio.sleep(1)
    for line in filter(None, lines):
        line.close()


async def slow_heads(site: Site) -> None:
    """Heads that come byte by byte."""

    async def one(server: Server) -> None:
        line = await connect(server, b"GET / HTTP/1.1\r\nhost: a\r\nx-slow: ")
        for _ in range(20):
            if line is None or line.is_closing():
                return
            line.write(b"a")
            await asyncio.sleep(0.5)
        line.close()

    await asyncio.gather(*(one(s) for s in (site.page, site.intake) for _ in range(SLOW)))


async def big_bodies(site: Site) -> None:
    """400 MB each, from nobody; in pieces, so that sending holds up nobody who measures beside."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            yield PIECE
            await asyncio.sleep(0)

    async def one(url: str) -> None:
        async with site.client() as http:
            with contextlib.suppress(httpx2.HTTPError):
                await http.post(url, content=body(), headers=length)

    length = {"Content-Length": str(PIECES * len(PIECE))}
    urls = f"{site.page.url}/api/login", f"{site.intake.url}/slides"
    await asyncio.gather(*(one(url) for url in urls for _ in range(BODIES)))


async def logins(site: Site) -> None:
    """Unknown names, all at once."""

    async def one(number: int) -> None:
        async with site.client() as http:
            with contextlib.suppress(httpx2.HTTPError):
                about = {"name": f"nobody{number}-{time.monotonic_ns()}", "password": "x" * 12}
                await http.post("/api/login", json=about)

    await asyncio.gather(*(one(number) for number in range(LOGINS)))


async def streams(site: Site) -> None:
    """Live updates, far more than a person needs."""
    http = await site.logged_in()

    async def one() -> None:
        with contextlib.suppress(httpx2.HTTPError):
            async with http.stream("GET", "/api/live") as answer:
                async for _ in answer.aiter_bytes():
                    return

    async with contextlib.aclosing(http):
        await asyncio.gather(*(one() for _ in range(STREAMS)))


async def exports(site: Site) -> None:
    """GeoJSON of one slide, six times at once."""
    http = await site.logged_in()
    path = f"/api/slides/{site.slide_id}/report.geojson"

    async def one() -> None:
        with contextlib.suppress(httpx2.HTTPError):
            await http.get(path)

    async with contextlib.aclosing(http):
        await asyncio.gather(*(one() for _ in range(EXPORTS)))


async def nothing(site: Site) -> None:
    """No load: what the figures of the others are held against."""
    await asyncio.sleep(1)


LOADS = (nothing, half_open, slow_heads, big_bodies, logins, streams, exports)


@contextlib.asynccontextmanager
async def going_on(*tasks: Callable[[asyncio.Event], Awaitable[None]]) -> AsyncIterator[None]:
    """People who go on with their work all the while."""
    over = asyncio.Event()
    running = [asyncio.create_task(task(over)) for task in tasks]
    try:
        yield
    finally:
        over.set()
        await asyncio.gather(*running)


def looks_at(site: Site, http: httpx2.AsyncClient) -> Callable[[asyncio.Event], Awaitable[None]]:
    """Somebody who looks at the worklist."""

    async def look(over: asyncio.Event) -> None:
        while not over.is_set():
            start = time.perf_counter()
            try:
                answer = await http.get("/api/slides")
                site.refused += answer.status_code != 200
            except httpx2.HTTPError:
                site.refused += 1
            site.waits_s.append(time.perf_counter() - start)
            await asyncio.sleep(ASK_S)

    return look


def scans_into(site: Site) -> Callable[[asyncio.Event], Awaitable[None]]:
    """A scanner that writes a file now and then: how long until the backlog has it."""

    def is_queued(name: str) -> bool:
        database = site.folder.with_suffix(".store") / "state.db"
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(database)) as state,
        ):
            found = state.execute("SELECT 1 FROM backlog WHERE path LIKE ?", (f"%/{name}",))
            return bool(found.fetchall())
        return False

    async def scan(over: asyncio.Event) -> None:
        while not over.is_set():
            name = f"scan-{time.monotonic_ns()}.tiff"
            start = time.perf_counter()
            (site.folder / name).write_bytes(b"II*\0")
            while time.perf_counter() - start < PATIENCE_S and not is_queued(name):
                await asyncio.sleep(0.02)
            site.seen_s.append(time.perf_counter() - start)
            await asyncio.sleep(ARRIVE_S)

    return scan


async def besiege(
    site: Site, load: Callable[[Site], Awaitable[None]], seconds: float
) -> dict[str, str | float]:
    """One kind of load for a while."""
    servers = site.page, site.intake
    site.waits_s.clear()
    site.seen_s.clear()
    site.refused = 0
    logged = sum(server.log.stat().st_size for server in servers)
    most = [0, 0]
    http = await site.logged_in()
    async with contextlib.aclosing(http), going_on(looks_at(site, http), scans_into(site)):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            task = asyncio.create_task(load(site))
            while not task.done():
                most = [max(m, server.memory()) for m, server in zip(most, servers, strict=True)]
                await asyncio.sleep(0.05)
            await task
    waits, seen = sorted(site.waits_s), sorted(site.seen_s)
    return {
        "load": load.__name__,
        "asked": str(len(waits)),
        "refused": str(site.refused),
        "median_ms": 1e3 * waits[len(waits) // 2],
        "worst_ms": 1e3 * waits[-1],
        "files": str(len(seen)),
        "seen_median_ms": 1e3 * seen[len(seen) // 2],
        "seen_worst_ms": 1e3 * seen[-1],
        "page_mb": most[0] / 1e6,
        "intake_mb": most[1] / 1e6,
        "log_kb": (sum(server.log.stat().st_size for server in servers) - logged) / 1e3,
    }


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seconds", type=float, default=60.0, help="of each load")
    words.add_argument("--only", nargs="*", default=[load.__name__ for load in LOADS])
    words.add_argument("--tree", type=Path, default=Path.cwd(), help="the checkout to besiege")
    words.add_argument("--work", type=Path, help="folder to keep the slide and its store in")
    words.add_argument("--files", type=int, default=1024, help="open files that a server may have")
    asked = words.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        work = (asked.work or Path(folder)).absolute()
        work.mkdir(parents=True, exist_ok=True)
        resource.setrlimit(resource.RLIMIT_NOFILE, (asked.files, hard))
        site = stack.enter_context(site_over(Product(asked.tree.absolute(), work), work))
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the strangers have enough
        chosen = [load for load in LOADS if load.__name__ in asked.only]
        found = [asyncio.run(besiege(site, load, asked.seconds)) for load in chosen]
    table = Table(*found[0])
    for row in found:
        table.add_row(*(f"{v:.0f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(stderr=True, width=140).print(table)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
