"""`cytostream atlas`: reference cells, of the laboratory's own signed slides or of open data."""

from pathlib import Path
from typing import Annotated

import typer

from classify import SHIPPED, load_model, open_engine
from stream.cli.console import say, screen
from stream.cli.options import RESULTS, ConfigOption, ModelOption, StoreOption
from stream.cli.session import require_store
from stream.config import Config, load_config


def atlas(
    store: StoreOption = RESULTS,
    out: Annotated[Path, typer.Option(help="New folder for the cells.")] = Path("atlas"),
    cells: Annotated[int, typer.Option(min=3, max=100, help="Cells of each class.")] = 6,
    config: ConfigOption = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            help="In place of signed slides: folders of labelled cells with their licence, as in "
            "configs/training/white-cells.toml."
        ),
    ] = None,
    model: ModelOption = SHIPPED,
) -> None:
    """Take typical cells of each class from signed slides, as the reference cells beside which the
    page shows others: review.atlas names the folder. No slide and no patient is named in it.

    With --recipe they are of openly licensed data, and the page shows their credit.

    Example: cytostream atlas --store results --out atlas

    Example: cytostream atlas --recipe configs/training/white-cells.toml --out atlas
    """
    settings = load_config(config)
    made = (
        open_atlas(recipe, model, out, cells) if recipe else own_atlas(store, out, cells, settings)
    )
    said = ", ".join(f"{count} {name}" for name, count in made.items())
    screen.print(f"{out}: {said}; use them with review.atlas")


def open_atlas(recipe: Path, model_folder: Path, out: Path, cells: int) -> dict[str, int]:
    """How many cells of each class were written, of the data that a recipe names.

    Raises:
        CytostreamError: the model, the engine or the recipe cannot be used, or the folder has
            files.
    """
    from stream.review.compare import write_open_atlas

    model = load_model(model_folder)
    return write_open_atlas(recipe, model, open_engine(model, tell=say), out, cells)


def own_atlas(store: Path, out: Path, cells: int, settings: Config) -> dict[str, int]:
    """How many cells of each class were written, of the slides that are signed.

    Raises:
        CytostreamError: there is no store, too few cells are signed, or the folder has files.
    """
    from stream.review import SlideLibrary, custody_folder
    from stream.review.compare import write_atlas
    from stream.review.images import Crops

    require_store(store)
    custody = custody_folder(settings.review.audit_folder)
    with SlideLibrary(store, settings, custody) as library:
        crops = Crops(library.store, library.queries, library.trail.marked)
        return write_atlas(library, crops.png, out, cells)
