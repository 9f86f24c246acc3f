"""What is new in a store, sent to every page that listens (server-sent events).

A message says only which slides changed and how far they are; a page then asks for what lies beyond
the last row and the last review that it has. So nothing is lost when a message is, when a page
sleeps, or when the server starts again.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable

from ingest import CytostreamError
from stream.events import JsonObject
from stream.review.audit_trail import REVIEWS_FILE
from stream.review.slides import SlideLibrary
from stream.review.worklist import ACTIVE_STATES, WorklistView
from stream.store import TrailQueries

KEEP_ALIVE_S = 15.0
_WAITING = 64  # messages a page may be behind; a slower one is told to look at everything
_log = logging.getLogger(__name__)
ALL = json.dumps({"all": True})


class StoreWatch:
    """Looks at a store for changes: each look is one cheap question where there are none."""

    def __init__(self, library: SlideLibrary, board: WorklistView):
        self._library = library
        self._board = board
        self._reviews = TrailQueries(library.store / REVIEWS_FILE, unwritable="copy")
        self._versions: tuple[int, ...] = ()
        self._row = library.queries.last_cell_row()
        self._number, _ = self._reviews.head()
        self._statuses = library.queries.slide_states()
        self._waiting = board.waiting()

    def look(self) -> JsonObject:
        """What to send: the rows of the slides that changed since the last look, or that
        everything did; empty for nothing.
        """
        versions = (self._library.queries.data_version(), self._reviews.data_version())
        if versions == self._versions:
            return {}
        self._versions = versions
        before = self._waiting
        self._waiting = self._board.waiting()
        rows = [self._board.row(slide_id).model_dump(mode="json") for slide_id in self._changed()]
        return {"all": True} if self._waiting != before else {"slides": rows} if rows else {}

    def _changed(self) -> set[str]:
        cells = self._library.queries.new_cell_rows(self._row)
        reviews = self._reviews.reviewed_slides(self._number)
        self._row = max([self._row, *cells.values()])
        self._number = max([self._number, *reviews.values()])
        before = self._statuses
        self._statuses = self._library.queries.slide_states()
        moved = {
            s
            for s, now in self._statuses.items()
            if before.get(s) != now or now[0] in ACTIVE_STATES
        }
        return moved | cells.keys() | reviews.keys()

    def close(self) -> None:
        self._reviews.close()


class Hub:
    """Hands what `Watch` sees to all listeners. Lives in the server's event loop; `run` is
    its task.
    """

    def __init__(self, watch: StoreWatch, look_s: float):
        self._watch = watch
        self._look_s = look_s
        self._listeners: dict[asyncio.Queue[str], str] = {}
        self._closing = asyncio.Event()

    async def run(self) -> None:
        while not self._closing.is_set():
            if self._listeners and (news := await asyncio.to_thread(self._look)):
                self._tell(json.dumps(news))
            await self._pause(self._look_s)

    def _look(self) -> JsonObject:
        try:
            return self._watch.look()
        except (
            CytostreamError
        ) as error:  # a store that is busy or gone for a moment must not silence the page for good
            _log.warning("%s", error)
            return {}
        except Exception:  # nor a fault of ours: the pages look at everything
            _log.exception("looking for changes failed")
            return {"all": True}

    def _tell(self, message: str) -> None:
        for queue in self._listeners:
            behind = queue.full()
            while behind and not queue.empty():
                queue.get_nowait()
            queue.put_nowait(ALL if behind else message)

    def listening(self, name: str) -> int:
        """How many pages of a person listen."""
        return sum(of == name for of in self._listeners.values())

    async def listen(self, name: str, is_still: Callable[[], bool]) -> AsyncIterator[str]:
        """Messages as server-sent events, until the server closes or the person may no longer read
        them: it is asked before each.

        A comment now and then shows that the connection lives.
        """
        queue: asyncio.Queue[str] = asyncio.Queue(_WAITING)
        self._listeners[queue] = name
        try:
            message = f"retry: 1000\ndata: {ALL}\n\n"
            while await asyncio.to_thread(is_still):
                yield message
                if self._closing.is_set():
                    return
                message = await self._message(queue)
        finally:
            self._listeners.pop(queue, None)

    async def _message(self, queue: asyncio.Queue[str]) -> str:
        try:
            return f"data: {await asyncio.wait_for(self._next(queue), KEEP_ALIVE_S)}\n\n"
        except TimeoutError:
            return ": still here\n\n"

    async def _next(self, queue: asyncio.Queue[str]) -> str:
        getting = asyncio.ensure_future(queue.get())
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({getting, closing}, return_when=asyncio.FIRST_COMPLETED)
            return getting.result() if getting.done() else ALL
        finally:
            getting.cancel()
            closing.cancel()

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return

    def close(self) -> None:
        """Lets every listener and the task end."""
        self._closing.set()

    def forget(self) -> None:
        """Lets go of the store, after the task has ended."""
        self._watch.close()
