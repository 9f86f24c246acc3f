"""What a run says and keeps of slides that it does not read to their end: act by act, the rows of
the backlog, what is counted and the events, as texts that a person has read.
"""

import threading
from collections import Counter
from dataclasses import replace
from itertools import count

import pytest

from ingest import (
    ClusterLostError,
    CytostreamError,
    DamagedSlideError,
    Failure,
    SerialWorkers,
    SlideAwayError,
    SlideError,
    StoreError,
    open_slide,
)
from stream.config import BacklogSettings, Config
from stream.events import EventError, Progress, Provenance
from stream.run import pipeline, worker
from stream.run.context import (
    OtherWorkError,
    RunContext,
    SlideBusyError,
    UnseenByWorkerError,
    asked_work,
    work_of,
)
from stream.run.pipeline import check_workers_see, refuse, run_slide, version_of
from stream.run.progress import SlideOutcome
from stream.run.worker import do, outcome_report, put_off, work
from stream.store import Backlog, Job, LeaseLostError
from stream.store import backlog as backlog_module
from tests.approved import approved, laid_out
from tests.make import BrightnessEngine, smear, tiny_model
from tests.stream.store.test_approved_rows import Book

RULES = BacklogSettings(tries=2, retry_s=10.0, deaths=2)
FAILURE = Failure("", "open", "no slide", "scan it again", code="open.unreadable")


@pytest.fixture(autouse=True)
def known_times(monkeypatch):
    ticks = count()
    monkeypatch.setattr(worker, "monotonic", lambda: next(ticks) / 4)
    monkeypatch.setattr(pipeline, "monotonic", lambda: next(ticks) / 4)
    monkeypatch.setattr(backlog_module, "file_stamp", lambda path: f"stamp of {path.name}")
    monkeypatch.setattr(backlog_module, "stamp_of_version_0_2", lambda path: f"old {path.name}")


@pytest.fixture
def lab(outbox, tmp_path):
    stamp = Provenance("test", "model-1", "config-1", {})
    store = tmp_path / "store"
    return RunContext(
        Config(), tiny_model(), BrightnessEngine(), SerialWorkers(), outbox, store, stamp
    )


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "smear.tiff"
    smear(path, side_px=300, whites=1)
    return path


def events_of(outbox, after=0):
    return [
        f"{one.event.type} {one.event.subject} {laid_out(one.event.data)}"
        for one in outbox.events(after_seq=after)
    ]


def is_approved(book, name, **names):
    approved(__file__, name, "\n".join(book.lines), folder=book.folder, **names)


def shown(outcome):
    if outcome is None:
        return "nothing"
    slide = outcome.slide and outcome.slide.slide_id
    return f"{replace(outcome, slide=None)} {slide}"


def outcomes(slide):
    """What running a slide may come to, in words and as it is."""
    done = SlideOutcome(slide, "done", Counter(light=3), Progress(tiles=2, tiles_done=2, cells=3))
    partial = replace(done, progress=Progress(tiles=2, tiles_done=1, cells=3, failures=1))
    failed = SlideOutcome(None, "failed", Counter(), Progress(failures=1), FAILURE)
    return {
        "another process has it": SlideBusyError("a.svs: another process is at it", "wait"),
        "another process has taken it over": LeaseLostError("lost", "wait"),
        "an event that no schema allows": EventError("no such label", "report it"),
        "the store is full": StoreError("disk full", "make room"),
        "an error of the program": ZeroDivisionError("by zero"),
        "the same again": ZeroDivisionError("by zero"),
        "it is interrupted": KeyboardInterrupt(),
        "it is away": SlideAwayError("a.svs: away", "mount it"),
        "it cannot be read": failed,
        "it may be read later": replace(failed, again=True),
        "the same for the last time": replace(failed, again=True),
        "some places may be read later": replace(partial, again=True),
        "some places cannot be read": partial,
        "it is done": done,
    }


def test_what_becomes_of_a_slide_by_what_running_it_came_to(
    lab, tmp_path, slide_file, monkeypatch, caplog
):
    backlog = Backlog(lab.outbox, RULES)
    book = Book(lab.outbox.rows, tmp_path, "backlog")
    for number, (name, outcome) in enumerate(outcomes(open_slide(slide_file)).items()):
        asked = []

        def run(*about, outcome=outcome, asked=asked):
            asked.append((about[0].stamp.set_id, *about[1:]))
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr(worker, "run_slide", run)
        path = tmp_path / f"{number}.svs"
        if name.startswith("the same"):
            path = tmp_path / f"{number - 1}.svs"
            lab.outbox.leases.give(f"job {path}")
            with lab.outbox.exclusive() as db:
                db.change("UPDATE backlog SET pause_s = 0")
        else:
            backlog.add([Job(path, mpp=0.5, set_id="set-7", announced="{}", root=tmp_path)])
        job = backlog.next({str(path)})
        seen = max([0, *(one.seq for one in lab.outbox.events())])
        try:
            given = shown(do(lab, backlog, job))
        except BaseException as error:  # as it would end the run
            given = f"raises {type(error).__name__}"
        book.act(name, given)
        book.lines += [f"  asked {asked}", *events_of(lab.outbox, seen)]
        book.lines += [f"  log {one.levelname} {one.getMessage()}" for one in caplog.records]
        caplog.clear()
    is_approved(book, "what-becomes-of-a-slide", slides=slide_file.parent)


def test_what_becomes_of_a_slide_that_is_away(lab, tmp_path):
    backlog = Backlog(lab.outbox, RULES)
    book = Book(lab.outbox.rows, tmp_path, "backlog", "failures")
    away = SlideAwayError("a.svs: away", "mount it")
    unseen = UnseenByWorkerError("a.svs: not seen by tls://one", "mount it there")
    for name, error, forever, stamp in (
        ("for ever", away, True, "s"),
        ("a worker lacks it", unseen, False, "s"),
        ("it was never there", away, False, None),
        ("the first try", away, False, "s"),
        ("the last try", away, False, "s"),
    ):
        path = tmp_path / f"{name}.svs"
        backlog.add([Job(path)])
        job = replace(backlog.next({str(path)}), stamp=stamp, tries=int(name == "the last try"))
        book.act(name, shown(put_off(lab, backlog, job, error, forever)))
    book.lines += events_of(lab.outbox)
    is_approved(book, "away")


def test_the_loop_ends_with_the_last_slide_and_goes_on_for_ever_until_it_is_stopped(
    lab, tmp_path, monkeypatch
):
    """Each slide has a context of its own; a slide that is away is told of, and tried again."""
    backlog, stop, told = Backlog(lab.outbox, RULES), threading.Event(), []
    done = SlideOutcome(None, "done", Counter(), Progress())
    answers = iter([done, SlideAwayError("away", "mount it"), done])

    def run(marked, path, *_):
        told.append(f"run {path.name} under {marked.stamp.model_hash}")
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def renewed(old):
        return replace(old, stamp=replace(old.stamp, model_hash=old.stamp.model_hash + "+"))

    def wait(seconds):
        told.append(f"wait {seconds} s")
        with lab.outbox.exclusive() as db:
            db.change("UPDATE backlog SET pause_s = 0")
        if len(told) > 12:
            stop.set()

    monkeypatch.setattr(worker, "run_slide", run)
    stop.wait = wait
    backlog.add([Job(tmp_path / "a.svs"), Job(tmp_path / "b.svs")])
    other = Backlog(lab.outbox, RULES)
    given = work(
        replace(lab, renewed=renewed),
        backlog,
        stop,
        ended=lambda job, outcome: told.append(f"ended {job.path.name} {outcome.status}"),
        waits=lambda job, error: told.append(f"waits {job.path.name} {error.what}"),
    )
    assert [(job.path.name, outcome.status) for job, outcome in given] == [
        ("a.svs", "done"),
        ("b.svs", "done"),
    ]
    assert told == [
        "run a.svs under model-1+",
        "ended a.svs done",
        "run b.svs under model-1++",
        "waits b.svs away",
        "wait 0.5 s",
        "run b.svs under model-1+++",
        "ended b.svs done",
    ]
    assert work(lab, other, stop, only={"none"}) == []
    told.clear()
    assert work(lab, other, stop, forever=True) == []
    assert told == ["wait 0.5 s"] * 13 and stop.is_set()
    other.add([Job(tmp_path / "c.svs")])
    assert work(lab, other, stop) == []  # it is stopped


def test_what_a_slide_came_to_that_another_process_has_ended(lab, tmp_path, slide_file):
    slide = open_slide(slide_file)
    path, lines = tmp_path / "moved.tiff", []
    facts = {
        "slide": pipeline.facts_of(slide),
        "counts": {"light": 3},
        "progress": Progress(tiles=2, tiles_done=2, cells=3, alerts=1).model_dump(),
    }
    with lab.outbox.transaction() as tx:
        tx.set_status(slide.slide_id, "done", **facts)
    for job in (
        Job(path, state="failed", reason="no slide", slide_id=slide.slide_id),
        Job(path, state="done", slide_id=slide.slide_id),
        Job(path, state="waiting"),
        Job(path, state="done", slide_id="none"),
    ):
        outcome = outcome_report(lab.outbox, job)
        lines.append(shown(outcome))
        lines.append(f"  at {outcome.slide and outcome.slide.path}")
    approved(__file__, "ended-elsewhere", "\n".join(lines), folder=tmp_path)


def test_what_is_kept_of_a_slide_that_is_refused(lab, tmp_path, slide_file):
    slide = open_slide(slide_file)
    path = tmp_path / "Anna.tiff"
    book = Book(lab.outbox.rows, tmp_path, "failures", "slides")
    own = replace(FAILURE, what="the worker ended")
    named = replace(FAILURE, what=f"{path}: torn")
    book.act("before it is known", shown(refuse(lab, own, path)))
    book.act("when it is known", shown(refuse(lab, named, path, slide, again=True, damaged=True)))
    book.lines += events_of(lab.outbox)
    is_approved(book, "refused", slides=slide_file.parent)


ERRORS = (
    SlideError("no slide", "convert it"),
    DamagedSlideError("torn", "scan it again"),
    CytostreamError("the worker ended", "it is tried again"),
)


class FailingWorkers(SerialWorkers):
    """Workers whose n-th call fails."""

    def __init__(self, error, number):
        self.error, self.left = error, number

    def call(self, function, item, limit_s):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return super().call(function, item, limit_s)


@pytest.mark.parametrize("number", [0, 1], ids=["open", "survey"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda one: type(one).__name__)
def test_a_slide_that_cannot_be_opened_or_surveyed(lab, slide_file, error, number):
    """It is a failure and no exception, whose fault is said, and the lease is given back."""
    outcome = run_slide(replace(lab, workers=FailingWorkers(error, number)), slide_file)
    failure = outcome.failure
    assert (outcome.status, outcome.progress.failures) == ("failed", 1)
    assert (failure.stage, failure.what) == (
        ["open", "survey"][number],
        f"{slide_file}: {error.what}",
    )
    assert outcome.again == (type(error) is CytostreamError)
    assert outcome.damaged == (type(error) is DamagedSlideError)
    slide_id = open_slide(slide_file).slide_id
    assert (outcome.slide and outcome.slide.slide_id) == (slide_id if number else None)
    assert failure.slide_id == (slide_id if number else "")
    assert lab.outbox.leases.holder(f"slide {slide_id}") is None
    assert lab.outbox.status(slide_id) == ("failed" if number else None)


@pytest.mark.parametrize("at", ["open", "everywhere", "survey"])
@pytest.mark.parametrize("error", [SlideAwayError("away"), ClusterLostError("gone")])
def test_a_slide_or_a_cluster_that_is_away_is_no_failure(lab, slide_file, error, at):
    """Whoever called puts the slide off; nothing is told, and no lease is kept."""
    workers = FailingWorkers(error, {"open": 0, "everywhere": 9, "survey": 1}[at])
    if at == "everywhere":
        workers.everywhere = lambda *_: (_ for _ in ()).throw(error)
    with pytest.raises(type(error)):
        run_slide(replace(lab, workers=workers), slide_file)
    assert events_of(lab.outbox) == []
    assert lab.outbox.leases.holder(f"slide {open_slide(slide_file).slide_id}") is None


def test_work_that_was_begun_under_others_is_a_failure_of_its_own(lab, slide_file):
    slide = open_slide(slide_file)
    with lab.outbox.transaction() as tx:
        tx.set_status(slide.slide_id, "done", **work_of(lab, slide) | {"model_id": "model-0"})
    outcome = run_slide(lab, slide_file)
    assert (outcome.status, outcome.again, outcome.damaged) == ("failed", False, False)
    assert outcome.failure.code == "open.other_work"
    assert outcome.failure.hint.startswith("--again runs it anew as a new version")


def test_a_slide_that_another_process_is_at(lab, slide_file):
    slide_id = open_slide(slide_file).slide_id
    with lab.outbox.exclusive() as db:
        sql = "INSERT INTO leases (name, owner) VALUES (:name, 'elsewhere 1 2 3')"
        db.change(sql, name=f"slide {slide_id}")
    with pytest.raises(SlideBusyError) as busy:
        run_slide(lab, slide_file)
    assert str(busy.value) == f"{slide_file}: another process is at it (wait for it)"


def test_a_link_below_the_watched_folder_is_refused(lab, slide_file, tmp_path):
    (tmp_path / "link.tiff").symlink_to(slide_file)
    outcome = run_slide(lab, tmp_path / "link.tiff", root=tmp_path)
    assert outcome.failure.what == f"{tmp_path}/link.tiff: a link, or in a folder that is one"
    assert outcome.failure.hint == "copy the slide itself into the watched folder"


class Elsewhere(SerialWorkers):
    """A cluster of which so many workers see the slide, and so many another file."""

    def __init__(self, seeing, blind):
        self.seeing, self.blind = seeing, blind

    def everywhere(self, function, item):
        seen = {f"tls://a:{n}": function(item) for n in range(self.seeing)}
        return seen | {f"tls://b:{n}": "another" for n in reversed(range(self.blind))}


@pytest.mark.parametrize(("seeing", "blind"), [(0, 0), (2, 0), (1, 1), (1, 3), (1, 4), (0, 6)])
def test_workers_that_see_another_file_are_named(lab, slide_file, seeing, blind):
    slide = open_slide(slide_file)
    lab = replace(lab, workers=Elsewhere(seeing, blind))
    if not blind:
        check_workers_see(lab, slide)
        return
    with pytest.raises(UnseenByWorkerError) as unseen:
        check_workers_see(lab, slide)
    names = ", ".join(f"tls://b:{n}" for n in range(min(blind, 3)))
    more = f" and {blind - 3} more" if blind > 3 else ""
    assert unseen.value.what == f"{slide.path}: not seen, or seen otherwise, by {names}{more}"


def test_the_versions_of_a_slide(lab, slide_file):
    """Each has an id of its own: the first the content's, then with -2, -3."""
    slide, labs = open_slide(slide_file), {}
    for model in ("model-1", "model-2", "model-3"):
        labs[model] = replace(lab, stamp=replace(lab.stamp, model_hash=model), again=True)
        version = version_of(labs[model], slide)
        again = version_of(replace(labs[model], again=False), slide) if model == "model-1" else None
        assert again is None or again == version
        with lab.outbox.transaction() as tx:
            tx.set_status(version.slide_id, "done", **work_of(labs[model], slide))
    first = slide.slide_id
    assert [version_of(one, slide).slide_id for one in labs.values()] == [
        first,
        f"{first}-2",
        f"{first}-3",
    ]
    with pytest.raises(OtherWorkError) as other:
        version_of(replace(lab, stamp=replace(lab.stamp, config_hash="config-9")), slide)
    what = f"{slide.path}: begun in {lab.folder} with another model_id, config_id"
    assert other.value.what == what
    red = asked_work(lab)
    assert red == "model-1 config-1 none None"


@pytest.mark.parametrize(("factor", "is_same"), [(1.00005, True), (0.99995, True), (1.0002, False)])
def test_a_scale_that_a_format_rounds_is_the_same(lab, slide_file, factor, is_same):
    slide = open_slide(slide_file)
    with lab.outbox.transaction() as tx:
        tx.set_status(slide.slide_id, "done", **work_of(lab, slide))
    nearly = replace(slide, mpp=slide.mpp * factor)
    if is_same:
        assert version_of(lab, nearly).mpp == slide.mpp
        return
    with pytest.raises(OtherWorkError, match="another mpp"):
        version_of(lab, nearly)
    assert version_of(replace(lab, again=True), nearly).mpp == nearly.mpp


def test_a_slide_that_was_only_begun_takes_the_work_that_is_asked_for(lab, slide_file):
    """Without a tile, a cell or an end there is nothing to keep apart."""
    slide = open_slide(slide_file)
    with lab.outbox.transaction() as tx:
        tx.set_status(slide.slide_id, "running", **work_of(lab, slide) | {"mpp": 0.3})
    assert version_of(lab, slide) == slide
    with lab.outbox.transaction() as tx:
        tx.tile_done(slide.slide_id, "0,0,1,1")
    with pytest.raises(OtherWorkError):
        version_of(lab, slide)
