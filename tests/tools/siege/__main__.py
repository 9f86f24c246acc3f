"""`python -m tests.tools.siege --seconds 60`: strangers and impatient people against a running
review page. For each kind of load: latency of a normal user, memory and log of the server.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil
from rich.console import Console
from rich.table import Table

from stream.review.web.accounts import Accounts
from tests.stores import filled

PASSWORD = "correct horse battery"
HALF_OPEN, SLOW, BODIES, LOGINS, STREAMS, EXPORTS = 1050, 200, 8, 30, 60, 6
BODY = b"x" * 400_000_000
ASK_S = 0.2
PATIENCE_S = 10.0
TLS = ssl.create_default_context()  # made once: it takes longer than a request


@dataclass
class Page:
    """A running page with an account, and what its normal user sees."""

    process: subprocess.Popen
    port: int
    log: Path
    slide_id: str
    waits_s: list[float] = field(default_factory=list)
    refused: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> httpx2.AsyncClient:
        limits = httpx2.Limits(max_connections=None)
        return httpx2.AsyncClient(base_url=self.url, timeout=PATIENCE_S, limits=limits, verify=TLS)

    async def logged_in(self) -> httpx2.AsyncClient:
        http = self.client()
        about = {"name": "ada", "password": PASSWORD}
        while not (await http.post("/api/login", json=about, timeout=120)).is_success:
            await asyncio.sleep(1)  # others are still being refused
        return http


@contextlib.contextmanager
def page_over(folder: Path):
    """`cytostream serve` over a finished slide, as a process of its own."""
    made = filled(folder / "store", cells=400, odd=5)
    made.close()
    accounts = Accounts(folder / "store")
    accounts.set("ada", "admin", PASSWORD)
    accounts.close()
    log = folder / "serve.log"
    words = ["-m", "stream.cli", "serve", "--store", folder / "store", "--sink", "none"]
    env = {**os.environ, "HOME": str(folder)}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *map(str, words), "--port", "18799"], stderr=out, env=env
        )
    try:
        while not re.search(rb"review page: ", log.read_bytes()):
            if process.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        yield Page(process, 18799, log, made.slide.slide_id)
    finally:
        process.terminate()
        process.wait(30)


async def connect(page: Page, first: bytes) -> asyncio.StreamWriter | None:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", page.port)
        writer.write(first)
        return writer
    return None


async def half_open(page: Page) -> None:
    """Many connections that begin a request and wait."""
    lines = [await connect(page, b"GET / HTTP/1.1\r\nhost:") for _ in range(HALF_OPEN)]
    await asyncio.sleep(1)
    for line in filter(None, lines):
        line.close()


async def slow_heads(page: Page) -> None:
    """Heads that come byte by byte."""

    async def one() -> None:
        line = await connect(page, b"GET / HTTP/1.1\r\nhost: a\r\nx-slow: ")
        for _ in range(20):
            if line is None or line.is_closing():
                return
            line.write(b"a")
            await asyncio.sleep(0.5)
        line.close()

    await asyncio.gather(*(one() for _ in range(SLOW)))


async def big_bodies(page: Page) -> None:
    """400 MB each, from nobody."""

    async def one() -> None:
        async with page.client() as http:
            with contextlib.suppress(httpx2.HTTPError):
                await http.post("/api/login", content=BODY)

    await asyncio.gather(*(one() for _ in range(BODIES)))


async def logins(page: Page) -> None:
    """Unknown names, all at once."""

    async def one(number: int) -> None:
        async with page.client() as http:
            with contextlib.suppress(httpx2.HTTPError):
                about = {"name": f"nobody{number}-{time.monotonic_ns()}", "password": "x" * 12}
                await http.post("/api/login", json=about)

    await asyncio.gather(*(one(number) for number in range(LOGINS)))


async def streams(page: Page) -> None:
    """Live updates, far more than a person needs."""
    http = await page.logged_in()

    async def one() -> None:
        with contextlib.suppress(httpx2.HTTPError):
            async with http.stream("GET", "/api/live") as answer:
                async for _ in answer.aiter_bytes():
                    return

    async with contextlib.aclosing(http):
        await asyncio.gather(*(one() for _ in range(STREAMS)))


async def exports(page: Page) -> None:
    """GeoJSON of one slide, six times at once."""
    http = await page.logged_in()
    path = f"/api/slides/{page.slide_id}/report.geojson"

    async def one() -> None:
        with contextlib.suppress(httpx2.HTTPError):
            await http.get(path)

    async with contextlib.aclosing(http):
        await asyncio.gather(*(one() for _ in range(EXPORTS)))


LOADS = (half_open, slow_heads, big_bodies, logins, streams, exports)


@contextlib.asynccontextmanager
async def normal_user(page: Page) -> AsyncIterator[None]:
    """Somebody who looks at the worklist all the while."""
    http, over = await page.logged_in(), asyncio.Event()

    async def look() -> None:
        while not over.is_set():
            start = time.perf_counter()
            try:
                answer = await http.get("/api/slides")
                page.refused += answer.status_code != 200
            except httpx2.HTTPError:
                page.refused += 1
            page.waits_s.append(time.perf_counter() - start)
            await asyncio.sleep(ASK_S)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        over.set()
        await looking
        await http.aclose()


async def besiege(page: Page, load: Callable[[Page], Awaitable[None]], seconds: float) -> dict:
    """One kind of load for a while."""
    page.waits_s.clear()
    page.refused, logged = 0, page.log.stat().st_size
    most, server = 0, psutil.Process(page.process.pid)
    async with normal_user(page):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            task = asyncio.create_task(load(page))
            while not task.done():
                most = max(most, server.memory_info().rss)
                await asyncio.sleep(0.05)
            await task
    waits = sorted(page.waits_s)
    return {
        "load": load.__name__,
        "asked": len(waits),
        "refused": page.refused,
        "median_ms": 1e3 * waits[len(waits) // 2],
        "worst_ms": 1e3 * waits[-1],
        "memory_mb": most / 1e6,
        "log_kb": (page.log.stat().st_size - logged) / 1e3,
    }


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seconds", type=float, default=60.0, help="of each load")
    words.add_argument("--only", nargs="*", default=[load.__name__ for load in LOADS])
    asked = words.parse_args()
    with tempfile.TemporaryDirectory() as folder, page_over(Path(folder)) as page:
        chosen = [load for load in LOADS if load.__name__ in asked.only]
        found = [asyncio.run(besiege(page, load, asked.seconds)) for load in chosen]
    table = Table(*found[0])
    for row in found:
        table.add_row(*(f"{v:.0f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(stderr=True).print(table)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
