"""Moves events from the outbox to a sink, in order, for as long as it takes."""

import threading

from ingest import CytostreamError, StoreError

from .outbox import Outbox
from .sinks import EventRefusedError, Sink, SinkError, SinkFencedError

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


def move(outbox: Outbox, sink: Sink, batch: int) -> int:
    """Sends the next batch; returns how many events left the queue, put aside ones included.

    The sink first, the outbox after: a crash between the two sends again, and the sink drops what it has.

    Raises:
        SinkError: the sink takes nothing now.
        StoreError: the outbox cannot be read or written.
    """
    parcels = outbox.unsent(sink.name, batch)
    if not parcels:
        return 0
    try:
        sink.send(parcels)
    except EventRefusedError as refused:
        outbox.put_aside(sink.name, refused.seq, refused.reason)
        return 1
    outbox.mark_sent(sink.name, parcels[-1].seq)
    return len(parcels)


class Relay:
    """A thread that moves events as they are committed, and waits longer and longer where the sink takes none.

    `trouble` says what is wrong now, None where all is well; `moved` counts.
    """

    def __init__(self, outbox: Outbox, sink: Sink, batch: int = 500):
        self.moved = 0
        self.trouble: CytostreamError | None = None
        self._outbox, self._sink, self._batch = outbox, sink, batch
        self._more, self._stopping = threading.Event(), threading.Event()
        self._progress = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        outbox.on_commit(self._more.set)

    def start(self) -> "Relay":
        self._thread.start()
        return self

    def drain(self, timeout_s: float) -> int:
        """Waits until everything is sent, at most `timeout_s`; returns how many events are not."""
        with self._progress:
            self._progress.wait_for(lambda: not self._thread.is_alive() or not self._unsent(), timeout_s)
        return self._unsent()

    def stop(self, timeout_s: float = 30.0) -> bool:
        """Ends after the batch in hand and closes the sink; False where the batch took longer than `timeout_s`."""
        self._stopping.set()
        self._more.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        ended = not self._thread.is_alive()
        if ended:
            self._sink.close()
        return ended

    def _unsent(self) -> int:
        return self._outbox.count_unsent(self._sink.name)

    def _run(self) -> None:
        pause_s = 0.0
        try:
            while not self._stopping.wait(pause_s):
                self._more.clear()  # before the look, so that a commit after it is not missed
                pause_s = self._next_pause(pause_s)
        except SinkFencedError as error:
            self.trouble = error
        except Exception as error:  # a thread's last word: it must not end unheard
            self.trouble = CytostreamError(f"the relay stopped: {type(error).__name__}: {error}", "the events wait in the store")
        finally:
            self._tell()

    def _next_pause(self, pause_s: float) -> float:
        try:
            moved = move(self._outbox, self._sink, self._batch)
        except SinkFencedError:
            raise
        except (SinkError, StoreError) as error:
            self.trouble = error
            return min(max(2 * pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        self.trouble = None
        self.moved += moved
        self._tell()
        if not moved and not self._stopping.is_set():
            self._more.wait()
        return 0.0

    def _tell(self) -> None:
        with self._progress:
            self._progress.notify_all()

    def __enter__(self) -> "Relay":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
