"""`cytostream bench`: what things cost, side by side in one run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.table import Table

from classify import SHIPPED, Model, load_model, open_engine
from stream.cli.commands.model.training import training_side
from stream.cli.console import say, screen, track
from stream.cli.options import EngineOption, ModelOption
from stream.events import JsonObject

if TYPE_CHECKING:
    from classify.benchmark import Cells, TimedEntry

REFERENCE = "exhaustive reference, f32"
JUDGE_ROW = "ours"


@dataclass(frozen=True, slots=True)
class JudgeBenchOptions:
    """What `cytostream bench judge` may be given."""

    anomalous: Annotated[
        Path | None,
        typer.Option(help="Cells of classes the model was never trained on, same layout."),
    ] = None
    same_lab: Annotated[
        Path | None, typer.Option(help="Normal cells of the laboratory of the anomalous ones.")
    ] = None
    model: ModelOption = SHIPPED
    engine: EngineOption = "auto"
    cells: Annotated[int, typer.Option(min=0, help="At most so many cells a folder; 0 is all.")] = 0
    paper_cells: Annotated[
        int,
        typer.Option(min=2, help="Cells for the paper's procedure, about a minute each at worst."),
    ] = 24
    paper_draws: Annotated[
        int, typer.Option(min=26, help="Most draws of the paper's procedure; as published 2,000.")
    ] = 2000
    paper_batch: Annotated[
        int, typer.Option(min=1, help="Draws the paper's rows run at once; as published 1.")
    ] = 1
    draw_cells: Annotated[
        int, typer.Option(min=0, help="Cells for chosen against random draws; 0 leaves it out.")
    ] = 300
    growth: Annotated[bool, typer.Option(help="Also how cost grows with classes and cells.")] = True
    json_out: Annotated[Path | None, typer.Option("--json", help="Write every figure here.")] = None


def bench_judge(
    home: Annotated[
        Path,
        typer.Argument(help="FOLDER/CLASS/image: labelled cells of the model's own laboratory."),
    ],
    options: JudgeBenchOptions,
) -> None:
    """The judge against the paper's procedure on the same net and cells: cost, accuracy, anomaly
    AUC, agreement.

    Speeds are from pixels in memory to verdicts, on all cores of this machine. The paper's rows
    need the train extra.

    Example: cytostream bench judge pbc/val --anomalous deepapl/anomaly --same-lab deepapl/normal
    """
    report = compare_judges(home, options)
    if options.json_out:
        options.json_out.write_text(json.dumps(report, indent=1) + "\n")


def compare_judges(home: Path, options: JudgeBenchOptions) -> JsonObject:
    """Every figure of the comparison, whose tables are shown as they are made.

    Raises:
        CytostreamError: the model, the engine or the cells cannot be used, or packages are missing.
    """
    with training_side():
        from classify.benchmark import ABROAD, HOME, ODD, read_cells
    model = load_model(options.model)
    folders = {HOME: home, ABROAD: options.same_lab, ODD: options.anomalous}
    given = {number: folder for number, folder in folders.items() if folder}
    contest = Contest(model, options.engine, read_cells(model, given, options.cells))
    contest.few(options.paper_cells, most=options.paper_draws, together=options.paper_batch)
    contest.all()
    if options.draw_cells:
        contest.draws(options.draw_cells)
    if options.growth:
        contest.growth(options.draw_cells or 300)
    return contest.report


class Contest:
    """The tables of `bench judge`, shown as they are made; `report` has all their figures."""

    def __init__(self, model: Model, engine: str, cells: "Cells"):
        from classify import to_input
        from classify.benchmark import Procedure, judge_timing, scaling

        self.contest = judge_timing
        self.made = scaling
        self.procedure = Procedure
        self.to_input = to_input
        self.model = model
        self.cells = cells
        self.fast = open_engine(model, engine, None, say)
        self.slow = open_engine(model, "openvino", "f32")
        self.bases: dict[str, float] = {}
        self.report: JsonObject = {"model": model.card.name, "model_id": model.model_id}
        self.report |= {"engine": self.fast.name, "precision": self.fast.precision}

    def inputs(self, cells: "Cells") -> np.ndarray:
        card = self.model.card
        return self.to_input(cells.crops, card.window_px, card.image_px, card.white)

    def few(self, count: int, **how: int) -> None:
        """All four ways on the same few cells."""
        some = self.cells.thinned(count)
        rows = []
        for name, each in (("the paper's procedure", True), ("its one-pass form", False)):
            inputs = self.inputs(some)
            bar = track(inputs, name, len(inputs))
            rows.append(self.contest.proceeded(name, self.procedure(self.model, each, **how), bar))
            self.bases[name] = rows[-1].cells_per_s
        self.show("few", f"The same {len(some.y)} cells", some, rows + self.ours(some))

    def all(self) -> None:
        rows = self.ours(self.cells)
        self.show("all", f"All {len(self.cells.y)} cells", self.cells, rows)
        reference, fast = rows
        differ = self.contest.disagreement(fast, self.cells, reference)
        self.report["level"] = {
            "stated": self.model.card.error_level,
            "observed": {k: n / m for k, (n, m) in differ.items()},
        }
        title = f"Stated level {self.model.card.error_level}, at 95 % confidence"
        table = Table("cells", "decided otherwise than by all draws", title=title)
        for name, (n, m) in differ.items():
            table.add_row(name, f"{n} of {m}: {n / m:.4f}")
        screen.print(table)
        took = (
            self.contest.first_verdicts(self.model, self.fast, self.cells.thinned(50).crops) * 1000
        )
        self.report["first_verdict_ms"] = {
            "median": float(np.median(took)),
            "p95": float(np.quantile(took, 0.95)),
        }
        screen.print(
            f"a lone cell's verdict: median {np.median(took):.0f} ms, 95 % within "
            f"{np.quantile(took, 0.95):.0f} ms"
        )

    def ours(self, cells: "Cells") -> list["TimedEntry"]:
        return [
            self.contest.judged(REFERENCE, self.model, self.slow, cells.crops, exhaustive=True),
            self.contest.judged(
                f"{JUDGE_ROW}, {self.fast.name} {self.fast.precision}",
                self.model,
                self.fast,
                cells.crops,
            ),
        ]

    def show(self, key: str, title: str, cells: "Cells", rows: list["TimedEntry"]) -> None:
        reference = next(row for row in rows if row.name == REFERENCE)
        figures = {row.name: self.contest.figures(row, cells, reference) for row in rows}
        self.report[key] = figures
        table = Table("", *figures, title=title)
        for name, base in self.bases.items():
            table.add_row(f"times {name}", *(f"{row.cells_per_s / base:.1f}" for row in rows))
        for name in figures[REFERENCE]:
            table.add_row(name.replace("_", " "), *(f"{f[name]:.4g}" for f in figures.values()))
        screen.print(table)

    def draws(self, count: int) -> None:
        some = self.cells.thinned(count)
        rows = self.made.chosen_and_random(self.model, self.fast, some, self.inputs(some))
        self.report["draws"] = rows
        self.table(f"Chosen against random draws, {len(some.y)} cells", rows)

    def growth(self, count: int) -> None:
        some = self.cells.thinned(count)
        total = len(self.model.card.classes)
        by_class = self.made.by_classes(self.model, self.fast, some, self.inputs(some), each=4)
        precision = self.report["precision"]
        costs = [
            {"classes": k, "pairs_per_s": self.made.pass_cost(self.model, k, precision)}
            for k in (2, total, 4 * total)
        ]
        sizes = sorted({min(n, len(self.cells.y)) for n in (1, 10, 100, 1000, len(self.cells.y))})
        by_count = [
            {
                "cells": n,
                "cells_per_s": self.contest.judged(
                    "", self.model, self.fast, self.cells.thinned(n).crops
                ).cells_per_s,
            }
            for n in sizes
        ]
        self.report |= {"by_classes": by_class, "pass_cost": costs, "by_cells": by_count}
        self.table("Cost by the number of classes: our draws, the paper's passes a cell", by_class)
        self.table("One pass of a net with so many classes", costs)
        self.table("Speed by the number of cells", by_count)

    def table(self, title: str, rows: list[JsonObject]) -> None:
        table = Table(*(name.replace("_", " ") for name in rows[0]), title=title)
        for row in rows:
            table.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
        screen.print(table)
