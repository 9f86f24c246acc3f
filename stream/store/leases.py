"""Who does what in a store that several processes, or hosts, share: a name has one holder at a
time.

No clocks of hosts are compared. In a file, a holder counts up, and another takes its place after it
has watched that count stand still for `lease_s` of its own time; on a server, it does so `lease_s`
after the holder's last sign by the server's clock. A process that died on this very host is known
at once. A holder that was only slow finds out within its next transaction
(`Transaction.hold`), before it can write anything.
"""

import os
import socket
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from time import monotonic

import psutil

from ingest import CytostreamError

from .database import State

_BEATS_A_LEASE = 5


class LeaseLostError(CytostreamError):
    """Another process has taken over, because this one was silent for too long."""


class Leases:
    """This process's leases in a store; they are renewed by a thread until `close`."""

    def __init__(self, state: State, lease_s: float = 30.0):
        self.lease_s = lease_s
        self.owner = (
            f"{_host()} {os.getpid()} {psutil.Process().create_time()} {uuid.uuid4().hex[:8]}"
        )
        self._state = state
        self._seen: dict[str, tuple[str, int, float]] = {}
        self._stopping = threading.Event()
        self._beating: threading.Thread | None = None

    def take(self, name: str) -> bool:
        """True where the name is this process's now; False where another holds it."""
        backend = self._state.backend
        asked = f"SELECT owner, beat, {backend.silent_s} FROM leases WHERE name = :name"
        held = self._state.rows(asked, name=name)  # costs no commit, where there is a holder
        if held and held[0][0] == self.owner:
            return True
        if held and not self._is_gone(name, *held[0]):
            return False
        with self._state.transaction(ordered=False) as db:
            is_free = db.change(
                f"""INSERT INTO leases (name, owner, renewed_s)
                VALUES (:name, :owner, {backend.now_s}) ON CONFLICT DO NOTHING""",
                name=name,
                owner=self.owner,
            )
            if not is_free:
                row = db.row(f"{asked} {backend.skip_row}", name=name)
                if row is None or not self._is_gone(name, *row):
                    return False
                db.change(
                    f"""UPDATE leases SET owner = :owner, beat = 0, renewed_s = {backend.now_s}
                    WHERE name = :name""",
                    name=name,
                    owner=self.owner,
                )
        self._beat()
        return True

    def holds(self, name: str) -> bool:
        return self.holder(name) == self.owner

    def holder(self, name: str) -> str | None:
        rows = self._state.rows("SELECT owner FROM leases WHERE name = :name", name=name)
        return rows[0][0] if rows else None

    def give(self, name: str) -> None:
        with self._state.transaction(ordered=False) as db:
            sql = "DELETE FROM leases WHERE name = :name AND owner = :owner"
            db.change(sql, name=name, owner=self.owner)

    def close(self) -> None:
        """Gives everything back."""
        self._stopping.set()
        if self._beating:
            self._beating.join()
            with (
                suppress(CytostreamError),
                self._state.transaction(ordered=False) as db,
            ):  # a full disk: they lapse
                db.change("DELETE FROM leases WHERE owner = :owner", owner=self.owner)

    def _is_gone(self, name: str, owner: str, beat: int, silent_s: float | None) -> bool:
        if owner == self.owner:
            return False
        if (died := died_here(owner)) is not None:
            return died
        if silent_s is not None:
            return silent_s > self.lease_s
        known = self._seen.get(name)
        if not known or known[:2] != (owner, beat):
            self._seen[name] = (owner, beat, monotonic())
            return False
        return monotonic() - known[2] > self.lease_s

    def _beat(self) -> None:
        if not self._beating:
            self._beating = threading.Thread(target=self._beat_on, name="leases", daemon=True)
            self._beating.start()

    def _beat_on(self) -> None:
        while not self._stopping.wait(self.lease_s / _BEATS_A_LEASE):
            try:
                with self._state.transaction(ordered=False) as db:
                    db.change(
                        f"""UPDATE leases SET beat = beat + 1, renewed_s = {db.now_s}
                        WHERE owner = :owner""",
                        owner=self.owner,
                    )
            except CytostreamError:
                continue  # a full disk: whoever writes next says so


def died_here(owner: str) -> bool | None:
    """Whether an owner of this host is gone; None for one of another host, which cannot be
    asked.
    """
    *host, pid, born, _ = owner.split(" ")
    if " ".join(host) != _host():
        return None
    try:
        return bool(psutil.Process(int(pid)).create_time() != float(born))
    except psutil.NoSuchProcess:
        return True


def _host() -> str:
    """A name that no two machines, nor two containers of one machine, share."""
    space = Path("/proc/self/ns/pid")
    number = space.stat().st_ino if space.exists() else 0
    return f"{socket.gethostname()}/{number}"
