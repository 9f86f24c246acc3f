"""The slides that wait, in the store: each is done once, by whichever process or host takes its
lease first.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import time

from stream.config import Backlog as Rules

from .outbox import Outbox

TABLES = """
CREATE TABLE IF NOT EXISTS backlog (
    number INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, priority INTEGER NOT NULL,
    mpp REAL, set_id TEXT,
    state TEXT NOT NULL DEFAULT 'waiting', tries INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0, slide_id TEXT, reason TEXT, seconds REAL, stamp TEXT);
CREATE INDEX IF NOT EXISTS backlog_of_state ON backlog (state, priority DESC, number);
"""
WAITING, RUNNING, DONE, PARTIAL, FAILED = "waiting", "running", "done", "partial", "failed"
STAT = 10  # a slide that somebody waits for
_COLUMNS = "path, priority, mpp, set_id, state, tries, slide_id, reason, seconds"


@dataclass(frozen=True, slots=True)
class Job:
    """A slide of the backlog. `state`: waiting, running, done, partial (some of it could not be
    read), failed.
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


class Backlog:
    """The backlog of a store, as one process sees it."""

    def __init__(self, outbox: Outbox, rules: Rules):
        self.outbox, self.rules = outbox, rules
        outbox.make_tables(TABLES)

    def add(self, jobs: Iterable[Job]) -> int:
        """Queues slides; returns how many of them were not known.

        One that is done stays done unless its file has changed; one that failed gets another
        chance.
        """
        with self.outbox.exclusive() as db:
            before = db.execute("SELECT count(*) FROM backlog").fetchone()[0]
            for job in jobs:
                path, stamp = str(job.path.absolute()), stamp_of(job.path)
                sql = (
                    "INSERT OR IGNORE INTO backlog (path, priority, mpp, set_id, stamp) VALUES "
                    "(?, ?, ?, ?, ?)"
                )
                db.execute(sql, (path, job.priority, job.mpp, job.set_id, stamp))
                sql = """UPDATE backlog SET state = 'waiting', tries = 0, deaths = 0,
                    not_before = 0, stamp = ?2, mpp = ?3
                    WHERE path = ?1 AND (state IN ('failed', 'partial') OR state = 'done'
                        AND stamp IS NOT ?2)"""
                db.execute(sql, (path, stamp, job.mpp))
                db.execute(
                    "UPDATE backlog SET priority = max(priority, ?) WHERE path = ?",
                    (job.priority, path),
                )
            return db.execute("SELECT count(*) FROM backlog").fetchone()[0] - before

    def next(self, only: Collection[str] | None = None) -> Job | None:
        """The next slide, leased to this process; None where there is nothing to take now.

        A slide whose process has died is as good as waiting.
        """
        sql = f"""SELECT {_COLUMNS} FROM backlog WHERE state IN ('waiting', 'running')
            AND not_before <= ?
            ORDER BY priority DESC, number"""
        for job in map(_job, self.outbox.rows(sql, time())):
            if (only is None or str(job.path) in only) and self._take(job):
                return job
        return None

    def _take(self, job: Job) -> bool:
        lease = lease_of(job)
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
        self._end(job, DONE if whole else PARTIAL, slide_id=slide_id, seconds=seconds, reason=None)

    def give_back(self, job: Job, after_s: float = 0.0) -> None:
        """Not now: whoever comes next goes on with it."""
        self._end(job, WAITING, not_before=time() + after_s)

    def fail(self, job: Job, reason: str) -> bool:
        """One try is used up; True where it was the last."""
        last = job.tries + 1 >= self.rules.tries
        later = time() + self.rules.retry_s * 2**job.tries
        self._end(
            job, FAILED if last else WAITING, tries=job.tries + 1, reason=reason, not_before=later
        )
        return last

    def give_up(self, job: Job, reason: str) -> None:
        """It cannot be done, however often it is tried."""
        self._end(job, FAILED, reason=reason)

    def _end(self, job: Job, state: str, **facts: object) -> None:
        names = ", ".join(f"{name} = ?" for name in facts)
        with self.outbox.exclusive() as db:
            db.execute(
                f"UPDATE backlog SET state = ?, {names} WHERE path = ?",
                (state, *facts.values(), str(job.path)),
            )
            db.execute(
                "DELETE FROM leases WHERE name = ? AND owner = ?",
                (lease_of(job), self.outbox.leases.owner),
            )

    def rename(self, was: Path, path: Path) -> None:
        """The file has another name now; one that is done stays done."""
        with self.outbox.exclusive() as db:
            db.execute("DELETE FROM backlog WHERE path = ? AND state != 'running'", (str(path),))
            sql = (
                "UPDATE OR IGNORE backlog SET path = ?, not_before = 0 WHERE path = ? AND state "
                "!= 'running'"
            )
            db.execute(sql, (str(path), str(was)))

    def place(self, path: Path) -> dict:
        """Number, state, tries, slide_id and reason of a slide by its path."""
        return self._place("path = ?", str(path.absolute()))

    def place_of(self, number: int) -> dict:
        """The same by its number; empty where there is none."""
        return self._place("number = ?", number)

    def _place(self, where: str, value: object) -> dict:
        names = ("number", "state", "tries", "slide_id", "reason")
        rows = self.outbox.rows(f"SELECT {', '.join(names)} FROM backlog WHERE {where}", value)
        return dict(zip(names, rows[0], strict=True)) if rows else {}

    def jobs(self, only: Collection[str] | None = None) -> list[Job]:
        """All slides, in the order in which they were added."""
        rows = self.outbox.rows(f"SELECT {_COLUMNS} FROM backlog ORDER BY number")
        return [job for job in map(_job, rows) if only is None or str(job.path) in only]

    def is_open(self, only: Collection[str] | None = None) -> bool:
        """Whether something waits or runs, here or elsewhere."""
        rows = self.outbox.rows("SELECT path FROM backlog WHERE state IN ('waiting', 'running')")
        return any(only is None or path in only for (path,) in rows)


def lease_of(job: Job) -> str:
    return f"job {job.path}"


def stamp_of(path: Path) -> str | None:
    """What changes when the file does; None for one that is not there."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return f"{facts.st_size} {facts.st_mtime_ns}"


def _job(row: tuple) -> Job:
    return Job(Path(row[0]), *row[1:])
