"""How well people tell generated cells from real ones: authenticity."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.table import Table

from classify import (
    CropFolder,
    DataError,
    Engine,
    Model,
)
from stream.cli.console import screen
from stream.cli.options import ModelChoice
from stream.cli.session import open_model

if TYPE_CHECKING:
    from classify.explain import Score, Shown


def authenticity(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Real cells, FOLDER/CLASS/image; or, with --answers, the folder of the test."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the test page and its key.")] = Path(
        "authenticity"
    ),
    count: Annotated[
        int, typer.Option(min=1, help="Real cells, and as many generated ones, a class.")
    ] = 8,
    seed: int = 0,
    answers: Annotated[
        Path | None, typer.Option(help="answers.json of an expert: score them instead.")
    ] = None,
    *,
    choice: ModelChoice,
) -> None:
    """Make a blinded test page, real cells or generated ones, or score what an expert answered.

    The page test.html is whole in itself and does not hold the key: give it away, keep key.json.

    [bold]Examples[/]

    cytostream authenticity cells/val --out test

    cytostream authenticity test --answers answers.json
    """
    if answers:
        show_scores(scores_of(folder, answers))
    else:
        page = write_test_page(folder, out, choice, count, seed)
        screen.print(
            f"{page}: give it to an expert; then `cytostream authenticity {out} --answers "
            "answers.json`"
        )


def scores_of(folder: Path, answers: Path) -> dict[str, "Score"]:
    """How an expert's answers to the test of a folder agree with its key."""
    from classify.explain import score_answers

    return score_answers(folder, answers)


def write_test_page(folder: Path, out: Path, choice: ModelChoice, count: int, seed: int) -> Path:
    """The page of a blinded test of `count` real cells a class and as many generated ones, written
    beside its key.

    Raises:
        CytostreamError: the model, the engine or the cells cannot be used.
    """
    from classify.explain import write_test

    model, engine = open_model(choice)
    with screen.status("generating"):
        return write_test(list(cells_to_tell(folder, model, engine, count, seed)), out, seed)


def cells_to_tell(
    folder: Path, loaded: Model, runner: Engine, count: int, seed: int
) -> Iterator["Shown"]:
    """Real cells as the model sees them, and generated ones of the same classes and number."""
    from classify import to_input, to_uint8
    from classify.explain import MADE, REAL, Shown, generate_cells

    card = loaded.card
    rng = np.random.default_rng(seed)
    made_of = []
    for name in card.counted:
        if not (folder / name).is_dir():
            continue
        real = CropFolder(folder / name, card.crop_px)
        real.paths = [real.paths[i] for i in rng.permutation(len(real.paths))[:count]]
        crops = np.stack([crop for _, crop in real])
        yield from (
            Shown(p, name, REAL)
            for p in to_uint8(to_input(crops, card.window_px, card.image_px, card.white))
        )
        made_of += [name] * len(crops)
    if not made_of:
        raise DataError(
            f"{folder}: no folder named as a class of the model",
            f"FOLDER/CLASS, of {', '.join(card.counted)}",
        )
    pictures = generate_cells(loaded, runner, [card.classes.index(name) for name in made_of], seed)
    yield from (Shown(p, name, MADE) for p, name in zip(pictures, made_of, strict=True))


def show_scores(scores: dict[str, "Score"]) -> None:
    table = Table("cells", "told apart rightly", "of", "share", "95 % interval")
    for group, score in scores.items():
        low, high = score.interval
        table.add_row(
            group,
            str(score.right),
            str(score.of),
            f"{score.accuracy:.3f}",
            f"{low:.3f} to {high:.3f}",
        )
    screen.print(table)
