"""The slides that wait, in the store: each is done once, by whichever process or host takes its
lease first.
"""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from ingest import file_state, files_of
from stream.config import BacklogSettings as Rules
from stream.events import JsonObject

from .outbox import Outbox

BACKLOG_TABLES = """
CREATE TABLE IF NOT EXISTS backlog (
    number INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, priority INTEGER NOT NULL,
    mpp REAL, set_id TEXT,
    state TEXT NOT NULL DEFAULT 'waiting', tries INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0, slide_id TEXT, reason TEXT, seconds REAL, stamp TEXT);
CREATE INDEX IF NOT EXISTS backlog_of_state ON backlog (state, priority DESC, number);
"""
ADDED_COLUMNS = {  # to the table of version 0.2; its not_before, a time of day, is read no more
    "root": "TEXT",
    "asked": "TEXT",
    "pause_s": "REAL NOT NULL DEFAULT 0",
    "turn": "INTEGER NOT NULL DEFAULT 0",
    "announced": "TEXT",
}
WAITING = "waiting"
RUNNING = "running"
_DONE = "done"
PARTIAL = "partial"
FAILED = "failed"
STAT = 10  # a slide that somebody waits for
_PAUSE_S = 0.5
_COLUMNS = (
    "path, priority, mpp, set_id, state, tries, slide_id, reason, seconds, announced, root, stamp"
)


@dataclass(frozen=True, slots=True)
class Job:
    """A slide of the backlog. `state`: waiting, running, done, partial (some of it could not be
    read), failed.

    With a `root`, the slide must lie below that folder, and no link may be on the way, when it is
    opened. `stamp` is the state of its files when it was queued, None where they were not there;
    `announced` is what the caller stated of its identity, as JSON.
    """

    path: Path
    priority: int = 0
    mpp: float | None = None
    set_id: str | None = None
    state: str = WAITING
    tries: int = 0
    slide_id: str | None = None
    reason: str | None = None
    seconds: float | None = None
    announced: str | None = None
    root: Path | None = None
    stamp: str | None = None


class Backlog:
    """The backlog of a store, as one process sees it.

    No time of day is kept: a slide that is to be tried later waits for as long as each process has
    seen it wait, by its own monotonic clock.
    """

    def __init__(self, outbox: Outbox, rules: Rules):
        self.outbox = outbox
        self.rules = rules
        self._seen: dict[str, tuple[int, float]] = {}
        outbox.make_tables(BACKLOG_TABLES)
        with outbox.exclusive() as db:
            there = {row[1] for row in db.execute("PRAGMA table_info(backlog)")}
            for name in ADDED_COLUMNS.keys() - there:
                db.execute(f"ALTER TABLE backlog ADD COLUMN {name} {ADDED_COLUMNS[name]}")

    def add(self, jobs: Iterable[Job], asked: str | None = None) -> int:
        """Queues slides; returns how many of them were not known.

        One that is done stays done unless its files have changed, or something else is `asked` for
        (model, configuration) than when it was done; one that failed gets another chance, and one
        that was to be tried later is tried now.
        """
        with self.outbox.exclusive() as db:
            before = _count(db)
            for job in jobs:
                path = job.path.absolute()
                values = {
                    "path": str(path),
                    "priority": job.priority,
                    "mpp": job.mpp,
                    "set_id": job.set_id,
                    "root": str(job.root) if job.root else None,
                    "stamp": file_stamp(path),
                    "old_stamp": stamp_of_version_0_2(path),
                    "asked": asked and f"{asked} {job.mpp}",
                    "announced": job.announced,
                }
                db.execute(
                    """INSERT OR IGNORE INTO backlog
                    (path, priority, mpp, set_id, root, stamp, asked)
                    VALUES (:path, :priority, :mpp, :set_id, :root, :stamp, :asked)""",
                    values,
                )
                db.execute(
                    """UPDATE backlog SET state = 'waiting', tries = 0, deaths = 0, stamp = :stamp,
                    mpp = :mpp, asked = coalesce(:asked, asked)
                    WHERE path = :path AND (state IN ('failed', 'partial')
                    OR state = 'done' AND (stamp IS NOT :stamp AND stamp IS NOT :old_stamp
                    OR :asked IS NOT NULL AND asked IS NOT :asked))""",
                    values,
                )
                db.execute(
                    """UPDATE backlog SET priority = max(priority, :priority), pause_s = 0,
                    root = :root, announced = coalesce(:announced, announced),
                    stamp = CASE state WHEN 'waiting' THEN :stamp ELSE stamp END
                    WHERE path = :path""",
                    values,
                )
            return _count(db) - before

    def next(self, only: Collection[str] | None = None) -> Job | None:
        """The next slide, leased to this process; None where there is nothing to take now.

        A slide whose process has died is as good as waiting.
        """
        sql = f"""SELECT pause_s, turn, {_COLUMNS} FROM backlog
            WHERE state IN ('waiting', 'running')
            ORDER BY priority DESC, number"""
        for pause_s, turn, *row in self.outbox.rows(sql):
            job = _job(row)
            if (
                (only is None or str(job.path) in only)
                and self._is_due(job, pause_s, turn)
                and self._take(job)
            ):
                return job
        return None

    def _is_due(self, job: Job, pause_s: float, turn: int) -> bool:
        """Whether a slide that is to be tried later has been seen to wait for long enough."""
        if not pause_s:
            return True
        known = self._seen.get(str(job.path))
        if known is None or known[0] != turn:
            self._seen[str(job.path)] = turn, monotonic()
            return False
        return monotonic() - known[1] >= pause_s

    def _take(self, job: Job) -> bool:
        lease = job_lease(job)
        if self.outbox.leases.holds(lease) or not self.outbox.leases.take(lease):
            return False
        with self.outbox.exclusive() as db:
            row = db.execute(
                "SELECT state, deaths FROM backlog WHERE path = ?", (str(job.path),)
            ).fetchone()
            died = row[0] == RUNNING
            free = row[0] in (WAITING, RUNNING) and not (died and row[1] >= self.rules.deaths)
            if free:
                db.execute(
                    "UPDATE backlog SET state = ?, deaths = deaths + ? WHERE path = ?",
                    (RUNNING, died, str(job.path)),
                )
            elif died:
                reason = f"its process died {row[1]} times"
                db.execute(
                    "UPDATE backlog SET state = ?, reason = ? WHERE path = ?",
                    (FAILED, reason, str(job.path)),
                )
        if not free:
            self.outbox.leases.give(lease)
        return free

    def finish(self, job: Job, slide_id: str | None, seconds: float, whole: bool = True) -> None:
        """The slide is done; not `whole` where some of it could not be read."""
        self._end(job, _DONE if whole else PARTIAL, slide_id=slide_id, seconds=seconds, reason=None)

    def give_back(self, job: Job, after_s: float = 0.0) -> None:
        """Not now: whoever comes next goes on with it."""
        self._end(job, WAITING, pause_s=after_s)

    def wait(self, job: Job, reason: str) -> None:
        """It cannot be reached now, which is not its fault: it is tried again, without end."""
        self._end(job, WAITING, pause_s=max(self.rules.retry_s, _PAUSE_S), reason=reason)

    def drop(self, path: Path, reason: str) -> None:
        """The slide is no longer there; where it waits, it does not any more."""
        with self.outbox.exclusive() as db:
            sql = "UPDATE backlog SET state = ?, reason = ? WHERE path = ? AND state = 'waiting'"
            db.execute(sql, (FAILED, reason, str(path)))

    def fail(self, job: Job, reason: str) -> bool:
        """One try is used up; True where it was the last."""
        last = job.tries + 1 >= self.rules.tries
        pause_s = self.rules.retry_s * 2**job.tries
        self._end(
            job, FAILED if last else WAITING, tries=job.tries + 1, reason=reason, pause_s=pause_s
        )
        return last

    def give_up(self, job: Job, reason: str) -> None:
        """It cannot be done, however often it is tried."""
        self._end(job, FAILED, reason=reason)

    def _end(self, job: Job, state: str, **facts: object) -> None:
        names = ", ".join(f"{name} = ?" for name in facts)
        with self.outbox.exclusive() as db:
            sql = f"UPDATE backlog SET state = ?, turn = turn + 1, {names} WHERE path = ?"
            db.execute(sql, (state, *facts.values(), str(job.path)))
            db.execute(
                "DELETE FROM leases WHERE name = ? AND owner = ?",
                (job_lease(job), self.outbox.leases.owner),
            )

    def rename(self, was: Path, path: Path) -> bool:
        """The file has another name now: its row goes on under that, and its content says whether
        it is done. False where nothing is known of it, or it runs.
        """
        with self.outbox.exclusive() as db:
            row = db.execute("SELECT state FROM backlog WHERE path = ?", (str(was),)).fetchone()
            if row is None or row[0] == RUNNING:
                return False
            db.execute("DELETE FROM backlog WHERE path = ? AND state != 'running'", (str(path),))
            sql = """UPDATE OR IGNORE backlog SET path = ?, state = 'waiting', pause_s = 0,
                stamp = ? WHERE path = ?"""
            return db.execute(sql, (str(path), file_stamp(path), str(was))).rowcount == 1

    def place(self, path: Path) -> JsonObject:
        """Number, state, tries, slide_id and reason of a slide by its path."""
        return self._place("path = ?", str(path.absolute()))

    def place_of(self, number: int) -> JsonObject:
        """The same by its number; empty where there is none."""
        return self._place("number = ?", number)

    def _place(self, where: str, value: object) -> JsonObject:
        names = ("number", "state", "tries", "slide_id", "reason")
        rows = self.outbox.rows(f"SELECT {', '.join(names)} FROM backlog WHERE {where}", value)
        return dict(zip(names, rows[0], strict=True)) if rows else {}

    def jobs(self, only: Collection[str] | None = None) -> list[Job]:
        """All slides, in the order in which they were added."""
        rows = self.outbox.rows(f"SELECT {_COLUMNS} FROM backlog ORDER BY number")
        return [job for job in map(_job, rows) if only is None or str(job.path) in only]

    def waiting_paths(self) -> list[Path]:
        """Where the slides lie that wait or run."""
        rows = self.outbox.rows(
            "SELECT path FROM backlog WHERE state IN ('waiting', 'running') ORDER BY number"
        )
        return [Path(path) for (path,) in rows]

    def is_open(self, only: Collection[str] | None = None) -> bool:
        """Whether something waits or runs, here or elsewhere."""
        rows = self.outbox.rows("SELECT path FROM backlog WHERE state IN ('waiting', 'running')")
        return any(only is None or path in only for (path,) in rows)


def job_lease(job: Job) -> str:
    return f"job {job.path}"


def file_stamp(path: Path) -> str | None:
    """What changes when a file of the slide does; None where one is not there."""
    try:
        return file_state(files_of(path))
    except OSError:
        return None


def stamp_of_version_0_2(path: Path) -> str | None:
    """The same as a store of version 0.2 has kept it."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return f"{facts.st_size} {facts.st_mtime_ns}"


def _count(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM backlog").fetchone()[0])


def _job(row: Sequence[Any]) -> Job:
    path, *facts, root, stamp = row
    return Job(*[Path(path), *facts, Path(root) if root else None, stamp])
