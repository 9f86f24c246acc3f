"""Moves events from the outbox to a sink, in order, for as long as it takes."""

import logging
import random
import threading
from contextlib import suppress

from ingest import CytostreamError, StoreError
from stream.store import Outbox

from .sink import EventRefusedError, Sink, SinkError, SinkFencedError

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_LOOK_S = 0.2  # for what other processes commit to the same store


def send_batch(outbox: Outbox, sink: Sink, batch: int) -> int:
    """Sends the next batch; returns how many events left the queue, put aside ones included.

    The sink first, the outbox after: a crash between the two sends again, and the sink drops what
    it has.

    Raises:
        SinkError: the sink takes nothing now.
        StoreError: the outbox cannot be read or written.
    """
    records = outbox.unsent(sink.name, batch)
    if not records:
        return 0
    try:
        sink.send(records)
    except EventRefusedError as refused:
        outbox.put_aside(sink.name, refused.seq, refused.reason)
        return 1
    outbox.mark_sent(sink.name, records[-1].seq)
    about = {"sink": sink.name, "count": len(records), "event_id": records[-1].id}
    _log.info("sent %d events", len(records), extra=about)
    return len(records)


def step_back(outbox: Outbox, sink: Sink) -> int:
    """Where a target has lost what it had (a broker without a second copy, after a crash), send
    from there on again.

    Returns how many events are gone through again; 0 where nothing is lost, or the target cannot
    tell.

    Raises:
        SinkError: the sink does not answer.
    """
    sent = outbox.sent(sink.name)
    if not sent or (place := sink.place()) is None or place >= sent:
        return 0
    before = outbox.count_unsent(sink.name)
    outbox.mark_sent(sink.name, place)
    behind = outbox.count_unsent(sink.name) - before
    if behind:
        _log.info(
            "%s may have lost some of %d events; what is not there is sent again", sink.name, behind
        )
    return behind


class Relay:
    """A thread that moves events as they are committed, and waits longer and longer where the sink
    takes none.

    Of the processes that share a store one relays to a sink (it has the lease); the others stand
    by. `trouble` says what is wrong now, None where all is well; `moved` counts, `ready` is set
    once the sink's place is known.
    """

    def __init__(self, outbox: Outbox, sink: Sink, batch: int = 500):
        self.moved = 0
        self.trouble: CytostreamError | None = None
        self.ready = threading.Event()
        self.name = sink.name
        self._lease = f"relay {sink.name}"
        self._outbox = outbox
        self._sink = sink
        self._batch = batch
        self._connected = False
        self._more = threading.Event()
        self._stopping = threading.Event()
        self._progress = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        outbox.on_commit(self._more.set)

    def start(self) -> "Relay":
        self._thread.start()
        return self

    def drain(self, timeout_s: float) -> int:
        """Waits until everything is sent, by whichever process, at most `timeout_s`; returns how
        many events are not.
        """
        with self._progress:
            self._progress.wait_for(
                lambda: not self._thread.is_alive() or not self._unsent(), timeout_s
            )
        return self._unsent()

    def stop(self, timeout_s: float = 30.0) -> bool:
        """Ends after the batch in hand and closes the sink; False where the batch took longer than
        `timeout_s`.
        """
        self._stopping.set()
        self._more.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        ended = not self._thread.is_alive()
        if ended:
            self._sink.close()
            with suppress(StoreError):  # a full disk: it lapses
                self._outbox.leases.give(self._lease)
        return ended

    def _unsent(self) -> int:
        return self._outbox.count_unsent(self._sink.name)

    def _run(self) -> None:
        pause_s = 0.0
        try:
            while not self._stopping.wait(
                pause_s * random.uniform(0.7, 1.0)  # noqa: S311  so that not all stores ask at once
            ):
                self._more.clear()  # before the look, so that a commit after it is not missed
                pause_s = self._next_pause(pause_s)
        except SinkFencedError as error:
            self.trouble = error
        except Exception as error:  # a thread's last word: it must not end unheard
            self.trouble = CytostreamError(
                f"the relay stopped: {type(error).__name__}: {error}",
                "the events wait in the store",
            )
        finally:
            self._tell()

    def _next_pause(self, pause_s: float) -> float:
        try:
            moved = self._move() if self._outbox.leases.take(self._lease) else self._stand_by()
        except SinkFencedError:
            if self._outbox.leases.holds(self._lease):
                raise
            # this process was silent for too long, and another one of the store relays
            return _FIRST_PAUSE_S
        except (SinkError, StoreError) as error:
            self.trouble = error
            self._connected = False
            return min(max(2 * pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        self.trouble = None
        self.moved += moved
        self._tell()
        if not moved and not self._stopping.is_set():
            self._more.wait(_LOOK_S)
        return 0.0

    def _move(self) -> int:
        if not self._connected:
            step_back(self._outbox, self._sink)
            self._connected = True
            self.ready.set()
        return send_batch(self._outbox, self._sink, self._batch)

    def _stand_by(self) -> int:
        self.ready.set()
        if self._connected:
            self._sink.close()
            self._connected = False
        return 0

    def _tell(self) -> None:
        with self._progress:
            self._progress.notify_all()

    def __enter__(self) -> "Relay":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
