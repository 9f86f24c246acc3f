from .context import RunContext, asked_work
from .pipeline import opened_slide
from .progress import SlideOutcome
from .red_cells import BOXES, RED_CELL_LABELS, RED_CROPS, RED_KIND_COLUMN, RedJudge
from .red_morphology import NORMAL, leading_finding, shares_of_counts
from .shadow import ShadowJudge, ShadowModel, judge_again
from .tile_judge import EngineOpener, OpenJudge, TileJudge
from .worker import GracefulStop, outcome_report, work

__all__ = [
    "BOXES",
    "EngineOpener",
    "GracefulStop",
    "NORMAL",
    "OpenJudge",
    "RED_CELL_LABELS",
    "RunContext",
    "RED_KIND_COLUMN",
    "RED_CROPS",
    "RedJudge",
    "ShadowJudge",
    "ShadowModel",
    "SlideOutcome",
    "judge_again",
    "TileJudge",
    "asked_work",
    "leading_finding",
    "opened_slide",
    "outcome_report",
    "shares_of_counts",
    "work",
]
