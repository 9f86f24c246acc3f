"""The slides that wait, in the store: each is done once, by whichever process or host takes its
lease first.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from ingest import file_state, files_of
from stream.config import BacklogSettings as Rules
from stream.events import JsonObject

from .database import BoundValue
from .outbox import Outbox

WAITING = "waiting"
RUNNING = "running"
_DONE = "done"
PARTIAL = "partial"
FAILED = "failed"
STAT = 10  # a slide that somebody waits for
_PAUSE_S = 0.5
_PAGE = 64
_HIGHEST = 2**31 - 1  # priority of the largest integer that both databases have
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

    def add(self, jobs: Iterable[Job], asked: str | None = None) -> int:
        """Queues slides; returns how many of them were not known.

        One that is done stays done unless its files have changed, or something else is `asked` for
        (model, configuration) than when it was done; one that failed gets another chance, and one
        that was to be tried later is tried now.
        """
        added = 0
        with self.outbox.exclusive() as db:
            for job in jobs:
                path = job.path.absolute()
                values: dict[str, BoundValue] = {
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
                added += db.change(
                    """INSERT INTO backlog (path, priority, mpp, set_id, root, stamp, asked)
                    VALUES (:path, :priority, :mpp, :set_id, :root, :stamp, :asked)
                    ON CONFLICT DO NOTHING""",
                    **values,
                )
                db.change(
                    """UPDATE backlog SET state = 'waiting', tries = 0, deaths = 0, stamp = :stamp,
                    mpp = :mpp, asked = coalesce(:asked, asked)
                    WHERE path = :path AND (state IN ('failed', 'partial')
                    OR state = 'done' AND (stamp IS DISTINCT FROM :stamp
                    AND stamp IS DISTINCT FROM :old_stamp
                    OR coalesce(:asked, asked) IS DISTINCT FROM asked))""",
                    **values,
                )
                db.change(
                    """UPDATE backlog SET pause_s = 0,
                    priority = CASE WHEN priority < :priority THEN :priority ELSE priority END,
                    root = :root, announced = coalesce(:announced, announced),
                    stamp = CASE state WHEN 'waiting' THEN :stamp ELSE stamp END
                    WHERE path = :path""",
                    **values,
                )
        return added

    def next(self, only: Collection[str] | None = None) -> Job | None:
        """The next slide, leased to this process; None where there is nothing to take now.

        A slide whose process has died is as good as waiting.
        """
        for job, pause_s, turn in self._open_jobs():
            if (
                (only is None or str(job.path) in only)
                and self._is_due(job, pause_s, turn)
                and self._take(job)
            ):
                return job
        return None

    def _open_jobs(self) -> Iterator[tuple[Job, float, int]]:
        """What waits or runs, in the order in which it is to be done; a page at a time, since the
        first is free as a rule.
        """
        sql = f"""SELECT number, pause_s, turn, {_COLUMNS} FROM backlog
            WHERE state IN ('waiting', 'running')
            AND (priority < :priority OR priority = :priority AND number > :number)
            ORDER BY priority DESC, number LIMIT {_PAGE}"""
        place = {"priority": _HIGHEST, "number": 0}
        while page := self.outbox.rows(sql, **place):
            for number, pause_s, turn, *row in page:
                job = _job(row)
                place = {"priority": job.priority, "number": number}
                yield job, pause_s, turn

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
            sql = f"SELECT state, deaths FROM backlog WHERE path = :path {db.skip_row}"
            state, deaths = db.row(sql, path=str(job.path)) or (None, 0)
            died = state == RUNNING
            free = state in (WAITING, RUNNING) and not (died and deaths >= self.rules.deaths)
            if free:
                db.change(
                    "UPDATE backlog SET state = :state, deaths = deaths + :died WHERE path = :path",
                    state=RUNNING,
                    died=int(died),
                    path=str(job.path),
                )
            elif died:
                db.change(
                    "UPDATE backlog SET state = :state, reason = :reason WHERE path = :path",
                    state=FAILED,
                    reason=f"its process died {deaths} times",
                    path=str(job.path),
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
            sql = """UPDATE backlog SET state = :state, reason = :reason
                WHERE path = :path AND state = 'waiting'"""
            db.change(sql, state=FAILED, reason=reason, path=str(path))

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

    def _end(self, job: Job, state: str, **facts: BoundValue) -> None:
        names = ", ".join(f"{name} = :{name}" for name in facts)
        with self.outbox.exclusive() as db:
            sql = f"UPDATE backlog SET state = :state, turn = turn + 1, {names} WHERE path = :path"
            db.change(sql, state=state, path=str(job.path), **facts)
            db.change(
                "DELETE FROM leases WHERE name = :name AND owner = :owner",
                name=job_lease(job),
                owner=self.outbox.leases.owner,
            )

    def rename(self, was: Path, path: Path) -> bool:
        """The file has another name now: its row goes on under that, and its content says whether
        it is done. False where nothing is known of it, or it runs.
        """
        with self.outbox.exclusive() as db:
            sql = f"SELECT state FROM backlog WHERE path = :path {db.take_row}"
            row = db.row(sql, path=str(was))
            if row is None or row[0] == RUNNING:
                return False
            sql = "DELETE FROM backlog WHERE path = :path AND state != 'running'"
            db.change(sql, path=str(path))
            sql = """UPDATE backlog SET path = :path, state = 'waiting', pause_s = 0,
                stamp = :stamp WHERE path = :was
                AND NOT EXISTS (SELECT 1 FROM backlog WHERE path = :path)"""
            return db.change(sql, path=str(path), stamp=file_stamp(path), was=str(was)) == 1

    def place(self, path: Path) -> JsonObject:
        """Number, state, tries, slide_id and reason of a slide by its path."""
        return self._place("path = :value", str(path.absolute()))

    def place_of(self, number: int) -> JsonObject:
        """The same by its number; empty where there is none."""
        return self._place("number = :value", number)

    def _place(self, where: str, value: str | int) -> JsonObject:
        names = ("number", "state", "tries", "slide_id", "reason")
        sql = f"SELECT {', '.join(names)} FROM backlog WHERE {where}"
        rows = self.outbox.rows(sql, value=value)
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


def _job(row: Sequence[Any]) -> Job:
    path, *facts, root, stamp = row
    return Job(*[Path(path), *facts, Path(root) if root else None, stamp])
