"""The files that leave: made by threads of their own, one at a time a person, and kept while the
store says the same.
"""

import asyncio
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from fastapi import HTTPException

from stream.review.images import FileStanding
from stream.review.slides import FINISHED, SlideView
from stream.review.texts import Language

_KEPT_BYTES = 64 << 20


class Exports:
    """Files by what they were made of. A person who waits for one holds up nobody else: requests
    are answered by other threads, and a file that is being made for one is shared by all who ask.
    """

    def __init__(self, at_once: int = 2, kept_bytes: int = _KEPT_BYTES):
        self._threads = ThreadPoolExecutor(at_once, "exports")
        self._most_bytes = kept_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._making: dict[str, Future[bytes]] = {}
        self._busy: set[str] = set()
        self._lock = threading.RLock()  # a file may be ready before its callback is set

    async def file(self, person: str, key: str | None, make: Callable[[], bytes]) -> bytes:
        """What `make` returns, or has returned for the same `key`; without one nothing is kept.

        Raises:
            HTTPException: 429, this person's last export is not ready yet.
        """
        with self._lock:
            if key and key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            if person in self._busy:
                raise HTTPException(
                    429, "one export at a time: the last one is not ready yet", {"Retry-After": "2"}
                )
            self._busy.add(person)
            made = (key and self._making.get(key)) or self._start(key, make)
        try:
            return await asyncio.shield(asyncio.wrap_future(made))
        finally:
            with self._lock:
                self._busy.discard(person)

    def _start(self, key: str | None, make: Callable[[], bytes]) -> Future[bytes]:
        made = self._threads.submit(make)
        if key:
            self._making[key] = made
            made.add_done_callback(partial(self._keep, key))
        return made

    def _keep(self, key: str, made: Future[bytes]) -> None:
        with self._lock:
            self._making.pop(key, None)
            if made.cancelled() or made.exception():
                return
            self._kept[key] = made.result()
            while sum(map(len, self._kept.values())) > self._most_bytes:
                self._kept.popitem(last=False)

    def close(self) -> None:
        """Drops what waits; what is being made ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def content_key(
    shelf: SlideView,
    ending: str,
    name: str,
    version: int | None,
    file: FileStanding,
    language: Language,
) -> str | None:
    """A digest of all that a file says: the cells and events of the slide, its review, name, facts
    and how its file stands. Taken before the file is made: then a change meanwhile makes it one
    that nobody asks for again. None while the slide is read, since its outlines come later than its
    cells.
    """
    if shelf.status() not in FINISHED:
        return None
    seen = shelf.found.last_row, shelf.told.seq, shelf.standing.number
    specimen = shelf.specimen(shelf.standing).identity.body()
    about = ending, shelf.slide_id, name, version, file, language, seen, shelf.facts(), specimen
    return hashlib.blake2b(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()
