"""Works off the backlog, slide by slide, until it is empty or somebody says stop."""

import logging
import signal
import threading
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from time import monotonic

from ingest import CytostreamError, Failure, SlideAwayError, SlideError
from stream.events import EventError, Progress
from stream.store import FAILED, Backlog, Job, LeaseLostError, Outbox, slide_of

from .context import RunContext, SlideBusyError, UnseenByWorkerError
from .pipeline import refuse, run_slide
from .progress import SlideOutcome
from .slide_failures import failure_of

_log = logging.getLogger(__name__)

UNEXPECTED = "run.unexpected"
_LOOK_S = 0.5  # for what other processes leave, and for retries that come due


def work(
    lab: RunContext,
    backlog: Backlog,
    stop: threading.Event,
    only: Collection[str] | None = None,
    forever: bool = False,
    ended: Callable[[Job, SlideOutcome], None] = lambda *_: None,
    waits: Callable[[Job, SlideError], None] = lambda *_: None,
) -> list[tuple[Job, SlideOutcome]]:
    """Does slides until none waits or runs anywhere (`forever`: until `stop`); returns those that
    this process has ended.

    A slide that is not there now is tried again, `forever` without end; `waits` is called each
    time.

    Raises:
        CytostreamError: the store cannot be written, or the cluster is lost.
    """
    reports = []
    while not stop.is_set():
        job = backlog.next(only)
        if job is None:
            if not forever and not backlog.is_open(only):
                break
            stop.wait(_LOOK_S)
            continue
        lab = lab.renewed(lab)
        try:
            report = do(lab, backlog, job)
        except SlideAwayError as error:
            report = put_off(lab, backlog, job, error, forever)
            waits(job, error)
        if report:
            reports.append((job, report))
            ended(job, report)
    return reports


def put_off(
    lab: RunContext, backlog: Backlog, job: Job, error: SlideAwayError, forever: bool
) -> SlideOutcome | None:
    """A slide that is not there now: a try less where it is to end, and a failure where that was
    the last, or where the slide was not there when it was queued.
    """
    if forever or isinstance(error, UnseenByWorkerError):
        backlog.wait(job, error.what)
        return None
    if job.stamp is None:
        backlog.give_up(job, error.what)
    elif not backlog.fail(job, error.what):
        return None
    return refuse(lab, failure_of(error, "", "open"), job.path)


def do(lab: RunContext, backlog: Backlog, job: Job) -> SlideOutcome | None:
    """One slide; None where it is not over: another process has it, or it is tried again later."""
    start_s = monotonic()
    try:
        marked = replace(lab, stamp=replace(lab.stamp, set_id=job.set_id))
        report = run_slide(marked, job.path, job.mpp, job.root, job.announced)
    except (SlideBusyError, LeaseLostError):
        backlog.give_back(job, _LOOK_S)
        return None
    except SlideAwayError:
        raise  # whoever called puts it off
    except EventError as error:
        what = f"{job.path}: {error.what}"
        report = refuse(lab, Failure("", "run", what, error.hint, code=UNEXPECTED), job.path)
    except CytostreamError:
        with suppress(CytostreamError):
            backlog.give_back(job)
        raise
    except Exception as error:
        _log.exception("%s", job.path)
        what = f"{job.path}: unexpected {type(error).__name__}: {error}"
        failure = Failure("", "run", what, "report it, with this slide if you may", code=UNEXPECTED)
        report = refuse(lab, failure, job.path, again=True)
    except BaseException:
        with suppress(CytostreamError):
            backlog.give_back(job)
        raise
    if report.again and not backlog.fail(job, failure_reason(report)):
        return None
    if report.failure:
        backlog.give_up(job, report.failure.what)
    else:
        backlog.finish(
            job,
            report.slide.slide_id if report.slide else None,
            monotonic() - start_s,
            whole=not report.progress.failures,
        )
    return report


def outcome_report(outbox: Outbox, job: Job) -> SlideOutcome:
    """How a slide ended that another process, or an earlier one, has done."""
    if job.state == FAILED:
        return SlideOutcome(
            None,
            FAILED,
            Counter(),
            Progress(failures=1),
            Failure("", "run", f"{job.path}: {job.reason}"),
        )
    facts = outbox.facts(job.slide_id) if job.slide_id else {}
    if "slide" not in facts:
        return SlideOutcome(
            None, job.state, Counter(), Progress(), Failure("", "run", f"{job.path}: {job.state}")
        )
    slide = replace(slide_of(facts["slide"]), path=job.path)
    return SlideOutcome(
        slide, "done before", Counter(facts["counts"]), Progress(**facts["progress"])
    )


def failure_reason(report: SlideOutcome) -> str:
    return (
        report.failure.what
        if report.failure
        else f"{report.progress.failures} places could not be read"
    )


class GracefulStop:
    """SIGTERM: no new slide, and the one in hand is interrupted after `drain_s`. What is
    interrupted goes on later.
    """

    def __init__(self, drain_s: float):
        self.stop = threading.Event()
        self.drain_s = drain_s

    def __enter__(self) -> "GracefulStop":
        self.before = {
            signal.SIGTERM: signal.signal(signal.SIGTERM, self._told),
            signal.SIGALRM: signal.signal(signal.SIGALRM, signal.default_int_handler),
        }
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _told(self, *_: object) -> None:
        self.stop.set()
        signal.setitimer(signal.ITIMER_REAL, max(0.001, self.drain_s))
