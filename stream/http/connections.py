"""Connections of an HTTP server: half-open ones end after a while, and make room for others when
there are too many.

A connection is at work once its request is whole and until its answer is. Whoever opens many
without asking, asks byte by byte, or does not read the answer, holds only places that the next
connection may take.
"""

import asyncio
import logging
import resource
from collections.abc import Callable
from time import monotonic

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_S = 10.0  # for the whole head of a request
_MOST = 512
SHARE_OF_FILES = 0.5  # of the files that this process may open: the store needs the others
LOG_BURST = 20
LOG_PER_S = 0.2
_KINDS = 256  # of messages that are counted apart


class Connections:
    """The open connections of a server, oldest first."""

    def __init__(self, most: int = _MOST):
        self.most = most
        self._open: dict[GuardedProtocol, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: "GuardedProtocol") -> None:
        """Takes one in; where there are too many, the oldest that is not at work ends, else
        the new one.
        """
        self._open[connection] = None
        if len(self._open) > self.most:
            idle = next((one for one in self._open if not one.is_at_work()), connection)
            self._open.pop(idle)
            idle.end()

    def drop(self, connection: "GuardedProtocol") -> None:
        self._open.pop(connection, None)


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with a place among `Connections` and a time by which the head of a
    request must be whole.
    """

    places: Connections
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()
        self.places.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.places.drop(self)
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._awaits_head():
            self._expect_head()
        else:
            self._stop_waiting()

    def is_at_work(self) -> bool:
        """Whether a whole request has come and its answer is on its way."""
        waits = self.cycle is None or self.cycle.response_complete or self.cycle.more_body
        return not waits and not self.flow.write_paused

    def end(self) -> None:
        """Ends the connection at once."""
        self.transport.abort()

    def _awaits_head(self) -> bool:
        return self.conn.their_state is h11.IDLE

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADERS_S, self.end)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def guarded_protocol(most: int = _MOST) -> type[GuardedProtocol]:
    """The protocol class of one server, with places of its own; as many as the limit of open
    files leaves.
    """
    files = raise_file_limit()

    class ServerProtocol(GuardedProtocol):
        places = Connections(min(most, int(files * SHARE_OF_FILES)))

    return ServerProtocol


def raise_file_limit() -> int:
    """Lets this process open as many files as it may; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return _MOST * 2 if soft == resource.RLIM_INFINITY else soft


class SampledLog(logging.Filter):
    """Lets a few messages of a kind through, then one now and then: whoever sends rubbish
    does not fill the disk.
    """

    def __init__(
        self,
        burst: int = LOG_BURST,
        per_s: float = LOG_PER_S,
        clock: Callable[[], float] = monotonic,
    ):
        super().__init__()
        self._burst = burst
        self._per_s = per_s
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        kind = str(record.msg)[:40]
        left, then = self._left.get(kind, (float(self._burst), now))
        left = min(float(self._burst), left + (now - then) * self._per_s)
        if len(self._left) > _KINDS:
            self._left.clear()
        self._left[kind] = (left - 1 if left >= 1 else left, now)
        return left >= 1


def sample_logs() -> None:
    """Samples what the server and the event loop log of single connections."""
    for name in ("uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        if not any(isinstance(one, SampledLog) for one in logger.filters):
            logger.addFilter(SampledLog())
