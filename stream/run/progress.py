"""What has come of a slide so far, and how it ended."""

from collections import Counter
from dataclasses import dataclass, field

from classify import OTHER_CLASS
from ingest import Failure, Slide, TileSpec
from stream.events import JsonObject, Progress


@dataclass(slots=True)
class Tally:
    """How far a slide is. A tile is done when its last cell is."""

    tiles: int
    tiles_done: int = 0
    cells: Counter[str] = field(default_factory=Counter)
    white: int = 0
    alerts: int = 0
    failures: int = 0
    waiting: dict[TileSpec, set[str]] = field(default_factory=dict)

    def count(self, label: str, kind: str) -> None:
        self.cells[label] += 1
        self.white += kind == "wbc" and label != OTHER_CLASS

    def progress(self) -> Progress:
        return Progress(
            tiles_done=self.tiles_done,
            tiles=self.tiles,
            cells=self.cells.total(),
            alerts=self.alerts,
            failures=self.failures,
        )


@dataclass(frozen=True, slots=True)
class SlideOutcome:
    """How a slide ended: status, cells a label, alerts, failures; `again` where another try may end
    better, `unfit` why it is not fit for reading, `red_cells` the figures of its event, `damaged`
    where the file's content is at fault, `slide_alerts` how many are about the slide as a whole.
    """

    slide: Slide | None
    status: str
    counts: Counter[str]
    progress: Progress
    failure: Failure | None = None
    again: bool = False
    unfit: tuple[str, ...] = ()
    red_cells: JsonObject | None = None
    damaged: bool = False
    slide_alerts: int = 0
