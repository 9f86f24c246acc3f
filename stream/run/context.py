"""What the slides of a run share, and what decides their results."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from classify import Engine, Model
from classify.teaching import TaughtJudge
from ingest import (
    CytostreamError,
    Slide,
    SlideAwayError,
    Workers,
)
from stream.alerts import SlideTests
from stream.config import Config
from stream.events import (
    Progress,
    Provenance,
)
from stream.store import Outbox

from .red_cells import RedJudge
from .shadow import ShadowJudge
from .tile_judge import OpenJudge


@dataclass(frozen=True, slots=True)
class RunContext:
    """What every slide of a run shares. `on_stage` takes the seconds of a tile's reading and
    finding, of a commit and of a second model's judging. `with_model` gives the context of a model
    that was in use before, by its id, to go on with a slide that was begun under it.
    """

    config: Config
    model: Model
    engine: Engine
    workers: Workers
    outbox: Outbox
    folder: Path
    stamp: Provenance
    on_progress: Callable[[Slide, Progress, Counter[str]], None] = lambda *_: None
    on_stage: Callable[[str, float], None] = lambda *_: None
    red: RedJudge | None = None
    again: bool = False  # run a slide anew that was begun under something else
    taught: TaughtJudge = TaughtJudge(())
    tests: SlideTests | None = None
    open_judge: OpenJudge | None = None  # workers judge the cells that they find, with this
    shadow: ShadowJudge | None = None
    renewed: Callable[["RunContext"], "RunContext"] = lambda lab: lab  # for the next slide
    was_in_use: Callable[[str], bool] = lambda _: False  # a model, by its id, in this store
    with_model: Callable[["RunContext", str], "RunContext"] = lambda lab, _: lab

    @property
    def classes(self) -> tuple[str, ...]:
        """The model's classes, then those that the laboratory has taught."""
        taught = (one.name for one in self.taught.classes)
        return tuple(dict.fromkeys([*self.model.card.classes, *taught]))

    @property
    def taught_ids(self) -> str:
        """Which versions of which taught classes are in use; empty without any."""
        return self.taught.taught_ids


class SlideBusyError(CytostreamError):
    """Another process is at this slide."""


class OtherWorkError(CytostreamError):
    """The store has results of this slide under another model, configuration or scale."""


class UnseenByWorkerError(SlideAwayError):
    """A worker of the cluster does not see the slide, or sees another one in its place."""


def work_of(lab: RunContext, slide: Slide) -> dict[str, str | float]:
    """What decides a slide's results: they go on only under the same."""
    red = {"red_model_id": lab.red.model.model_id} if lab.red else {}
    ours = {"model_id": lab.stamp.model_hash, "config_id": lab.stamp.config_hash}
    taught = {"taught_ids": lab.taught_ids} if lab.taught_ids else {}
    return {**ours, "mpp": slide.mpp, **red, **taught}


def slide_lease(slide: Slide) -> str:
    return f"slide {slide.slide_id}"


def asked_work(lab: RunContext) -> str:
    """What is asked for beside the slide: where it differs from what a slide was done under, the
    slide is looked at again.
    """
    red = lab.red.model.model_id if lab.red else "none"
    override = lab.config.reading.mpp_override
    taught = f" {lab.taught_ids}" if lab.taught_ids else ""
    return f"{lab.stamp.model_hash} {lab.stamp.config_hash} {red} {override}{taught}"
