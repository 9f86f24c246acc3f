"""The evaluation of a model over a suite: axis by axis, the report rewritten after each (needs
torch; the `train` extra).
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from classify.engines import open_engine
from classify.errors import DataError
from classify.model_card import load_model

from .axes import in_domain, low_data, shift
from .axis_anomalies import far, held_out
from .axis_calibration import calibration
from .axis_generated import generated_cells
from .contenders import Tell, Workshop, say_nothing
from .figures import Findings
from .report import write_report
from .suite import Suite

AXES: dict[str, tuple[str, Callable[[Workshop], Findings], Callable[[Suite], bool]]] = {
    "held-out": ("Held-out class", held_out, lambda suite: bool(suite.held_out)),
    "low-data": ("Low data", low_data, lambda suite: suite.low_data is not None),
    "in-domain": ("In domain", in_domain, lambda suite: True),
    "shift": ("Domain shift", shift, lambda suite: bool(suite.shift)),
    "far": ("Far anomalies", far, lambda suite: suite.lab is not None),
    "calibration": ("Calibration", calibration, lambda suite: True),
    "generated": ("Generated cells", generated_cells, lambda suite: suite.generated > 0),
}
READING = {
    "cpu": "Training minutes are processor time of one thread, the same for both arms, since a "
    "machine may be shared.",
    "cuda": "Training minutes are wall time on the GPU, the same for both arms.",
}


def chosen_axes(suite: Suite, only: Iterable[str]) -> list[str]:
    """The axes that the suite has data for, or those of them asked for.

    Raises:
        DataError: one asked for is not known, or the suite has no data for it.
    """
    able = [name for name, (_, _, possible) in AXES.items() if possible(suite)]
    if unknown := [name for name in only if name not in able]:
        raise DataError(f"{unknown[0]!r} is no axis of this suite", f"one of {', '.join(able)}")
    return [name for name in able if name in only] if only else able


def evaluate_model(
    model_folder: Path,
    suite: Suite,
    report: Path,
    only: Iterable[str] = (),
    tell: Tell = say_nothing,
    command: str = "",
) -> dict[str, Findings]:
    """Run the suite's axes on a model folder and write `report/report.html` and
    `report/report.json`.

    What has been trained and scored stays under `report`, and the same command goes on from there.

    Raises:
        DataError: the data of the suite cannot be used.
        ModelError: the model is not whole.
    """
    report.mkdir(parents=True, exist_ok=True)
    model = load_model(model_folder)
    engine = open_engine(model)
    work = Workshop(suite, model, engine, report, tell)
    head = {
        "model": model.card.name,
        "model_id": model.model_id,
        "preset": suite.preset,
        "command": command,
        "engine": f"{engine.name} {engine.version}, {engine.precision}",
        "reading": READING[suite.device],
        "date": datetime.now(UTC).date().isoformat(),
    }
    found: dict[str, Findings] = {}
    for name in chosen_axes(suite, list(only)):
        title, axis, _ = AXES[name]
        tell(title, {})
        found[title] = axis(work)
        write_report(report, head, found, work.took, suite_settings(work))
    return found


def suite_settings(work: Workshop) -> dict[str, Any]:
    """The suite and the recipe as resolved."""
    return {
        "suite": work.suite.model_dump(mode="json"),
        "recipe": work.recipe.model_dump(mode="json"),
    }
