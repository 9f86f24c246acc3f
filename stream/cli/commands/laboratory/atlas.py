"""`cytostream atlas`: reference cells from the laboratory's own signed slides."""

from pathlib import Path
from typing import Annotated

import typer

from stream.cli.console import screen
from stream.cli.options import RESULTS, ConfigOption, StoreOption
from stream.cli.session import require_store
from stream.config import Config, load_config


def atlas(
    store: StoreOption = RESULTS,
    out: Annotated[Path, typer.Option(help="New folder for the cells.")] = Path("atlas"),
    cells: Annotated[int, typer.Option(min=3, max=100, help="Cells of each class.")] = 6,
    config: ConfigOption = None,
) -> None:
    """Take typical cells of each class from signed slides, as the reference cells beside which the
    page shows others: review.atlas names the folder. No slide and no patient is named in it.

    Example: cytostream atlas --store results --out atlas
    """
    made = own_atlas(store, out, cells, load_config(config))
    said = ", ".join(f"{count} {name}" for name, count in made.items())
    screen.print(f"{out}: {said}; use them with review.atlas", highlight=False)


def own_atlas(store: Path, out: Path, cells: int, settings: Config) -> dict[str, int]:
    """How many cells of each class were written.

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
