"""THE main path: tiles read, cells found, verdicts given, results and events committed. Sees no
concrete engine or sink.
"""

import math
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from time import monotonic

from ingest import (
    ClusterLostError,
    CytostreamError,
    DamagedSlideError,
    Failure,
    Slide,
    SlideAwayError,
    SlideError,
    open_slide_on,
    sample_digest,
)
from segment import begin_reading
from stream.events import (
    JsonObject,
    Progress,
    failure_event,
    slide_event,
)
from stream.store import Outbox, facts_of

from .context import (
    OtherWorkError,
    RunContext,
    SlideBusyError,
    UnseenByWorkerError,
    slide_lease,
    work_of,
)
from .progress import SlideOutcome
from .slide_failures import failure_of, is_passing
from .slide_run import DONE, SlideRun
from .specimen import keep_claims, with_codes

SAME_MPP = 1e-4  # relative; file formats round the scale


def run_slide(
    lab: RunContext,
    path: Path,
    mpp: float | None = None,
    root: Path | None = None,
    announced: str | None = None,
) -> SlideOutcome:
    """Read, find, judge and commit one slide; what an earlier run has done of it is not done again.
    `announced` is what the intake got with it of its identity, as JSON.

    A slide that cannot be read is a failure event and a report, not an exception.

    Raises:
        SlideBusyError, LeaseLostError: another process is at this slide, or has taken it over.
        SlideAwayError: it is not there now, or changes.
        ClusterLostError: the workers as a whole have gone.
        StoreError: results cannot be written.
    """
    try:
        lab, slide = begun_version(lab, opened_slide(lab, path, mpp, root))
        check_workers_see(lab, slide)
    except (SlideAwayError, ClusterLostError):
        raise
    except OtherWorkError as error:
        return refuse(lab, failure_of(error, "", "open"), path)
    except CytostreamError as error:
        damaged = isinstance(error, DamagedSlideError)
        failure = failure_of(error, "", "open")
        return refuse(lab, failure, path, again=is_passing(error), damaged=damaged)
    lease = slide_lease(slide)
    if not lab.outbox.leases.take(lease):
        raise SlideBusyError(f"{path}: another process is at it", "wait for it")
    try:
        keep_claims(lab, slide, path, announced)
        outcome = run_leased(lab, slide, path)
        judge_in_shadow(lab, slide.slide_id)
        return outcome
    finally:
        with suppress(CytostreamError):
            lab.outbox.leases.give(lease)


def opened_slide(
    lab: RunContext, path: Path, mpp: float | None = None, root: Path | None = None
) -> Slide:
    """The slide at a path; below `root`, where one is given, with no link on the way.

    A worker reads its facts, so that a file on which a decoder hangs costs `reading.read_limit_s`
    and not the run.

    Raises:
        SlideError: as `open_slide` does, and where a link leads elsewhere.
        CytostreamError: it ended the worker, or took too long.
    """
    reading = lab.config.reading
    slide = open_slide_on(lab.workers, path, mpp, reading.mpp_override, reading.read_limit_s)
    if root and not (slide.path == path and path.is_relative_to(root)):
        raise SlideError(
            f"{path}: a link, or in a folder that is one",
            "copy the slide itself into the watched folder",
        )
    return slide


def check_workers_see(lab: RunContext, slide: Slide) -> None:
    """That every worker of a cluster of other machines sees the slide as this process does.

    Raises:
        UnseenByWorkerError: one does not.
    """
    seen = lab.workers.everywhere(sample_digest, slide.path)
    if not seen:
        return
    expected = sample_digest(slide.path)
    blind = sorted(address for address, digest in seen.items() if digest != expected)
    if blind:
        what = f"{slide.path}: not seen, or seen otherwise, by {', '.join(blind[:3])}"
        what += f" and {len(blind) - 3} more" if len(blind) > 3 else ""
        raise UnseenByWorkerError(
            what,
            "mount the share there as here, name its place there in reading.mounts, or end that "
            "worker; the slide waits",
        )


def version_of(lab: RunContext, slide: Slide) -> Slide:
    """The slide as the version that the store has under this model, configuration and scale, or
    that it begins now.

    The first version has the id of the content, the later ones end with "-2", "-3" and so on.

    Raises:
        OtherWorkError: it was begun under others only, and is not to be run anew.
    """
    for number in count(1):
        slide_id = slide.slide_id if number == 1 else f"{slide.slide_id}-{number}"
        begun = lab.outbox.facts(slide_id)
        if not begun:
            break
        differs = _differences(lab, slide, begun)
        if not differs or not has_results(lab.outbox, slide_id):
            return replace(
                slide,
                slide_id=slide_id,
                mpp=slide.mpp if "mpp" in differs else begun.get("mpp", slide.mpp),
            )
    if number > 1 and not lab.again:
        what = f"{slide.path}: begun in {lab.folder} with another {', '.join(differs)}"
        raise OtherWorkError(
            what, "--again runs it anew as a new version, or choose another --store"
        )
    return replace(slide, slide_id=slide_id)


def begun_version(lab: RunContext, slide: Slide) -> tuple[RunContext, Slide]:
    """The version of a slide that is run, and the context to run it in: a slide that was begun with
    a model that was in use before keeps that model.

    Raises:
        OtherWorkError: it was begun under others, and is not to be run anew.
    """
    try:
        return lab, version_of(lab, slide)
    except OtherWorkError:
        begun = lab.outbox.facts(slide.slide_id)
        model_id = begun.get("model_id", "")
        if not lab.was_in_use(model_id):
            raise
        about_model = ("model_id", "taught_ids", "red_model_id")
        is_done = lab.outbox.status(slide.slide_id) == DONE
        if is_done and not set(_differences(lab, slide, begun)) - set(about_model):
            return lab, replace(slide, mpp=begun.get("mpp", slide.mpp))
        before = lab.with_model(lab, model_id)
        return before, version_of(before, slide)


def judge_in_shadow(lab: RunContext, slide_id: str) -> None:
    """Has a second model judge the slide, where there is one and the slide is done."""
    if lab.shadow is None or lab.outbox.status(slide_id) not in (DONE, "failures"):
        return
    begun_s = monotonic()
    lab.shadow.after(lab.outbox, lab.folder, slide_id, lab.config.alerts)
    lab.on_stage("shadow", monotonic() - begun_s)


def has_results(outbox: Outbox, slide_id: str) -> bool:
    """Whether any of the slide has been read."""
    is_done = outbox.status(slide_id) == DONE
    return is_done or bool(outbox.tiles_done(slide_id)) or any(True for _ in outbox.cells(slide_id))


def _differences(lab: RunContext, slide: Slide, begun: JsonObject) -> list[str]:
    """In what the work on a slide is to be other than that which the store has of it."""
    asked = work_of(lab, slide)
    same_scale = math.isclose(begun.get("mpp", slide.mpp), slide.mpp, rel_tol=SAME_MPP)
    return [
        name
        for name in asked
        if not (same_scale if name == "mpp" else begun.get(name, asked[name]) == asked[name])
    ]


def run_leased(lab: RunContext, slide: Slide, path: Path) -> SlideOutcome:
    if lab.outbox.status(slide.slide_id) == DONE:
        return finished_outcome(lab, slide)
    try:
        reading = lab.config.reading
        begin = partial(begin_reading, area=reading.area, red_cell_um=reading.red_cell_um)
        outlook = lab.workers.call(begin, slide, lab.config.reading.survey_limit_s)
    except (SlideAwayError, ClusterLostError):
        raise
    except CytostreamError as error:
        failure = failure_of(error, slide.slide_id, "survey")
        return refuse(
            lab, failure, path, slide, is_passing(error), isinstance(error, DamagedSlideError)
        )
    run = SlideRun(lab, outlook)
    try:
        return run.all()
    except BaseException:
        with suppress(CytostreamError):
            run.say("interrupted")
        raise
    finally:
        run.writer.close()


def refuse(
    lab: RunContext,
    failure: Failure,
    path: Path,
    slide: Slide | None = None,
    again: bool = False,
    damaged: bool = False,
) -> SlideOutcome:
    """Tell of a slide that cannot be read."""
    if str(path) not in failure.what:  # a worker that ended does not know of what
        failure = replace(failure, what=f"{path}: {failure.what}")
    with lab.outbox.transaction() as tx:
        told = failure_event(failure, lab.stamp, path)
        tx.add([told])
        tx.keep_failure(told.id, str(path), failure)
        if slide:
            ended = slide_event(slide, "failed", lab.stamp, failure=failure)
            tx.add([with_codes(lab, ended)])
            about = {
                "slide": facts_of(slide),
                "reason": failure.what,
                "code": failure.code,
                "at": datetime.now(UTC).isoformat(),
            }
            tx.set_status(slide.slide_id, "failed", **about, **work_of(lab, slide))
    return SlideOutcome(
        slide, "failed", Counter(), Progress(failures=1), failure, again, damaged=damaged
    )


def finished_outcome(lab: RunContext, slide: Slide) -> SlideOutcome:
    facts = lab.outbox.facts(slide.slide_id)
    counts: Counter[str] = Counter(facts["counts"])
    progress = Progress(**facts["progress"])
    unfit = tuple(facts.get("unfit", ()))
    red_cells = facts.get("red_cells")
    return SlideOutcome(slide, "done before", counts, progress, unfit=unfit, red_cells=red_cells)
