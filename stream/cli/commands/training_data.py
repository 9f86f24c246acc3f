"""Commands that make training data."""

from pathlib import Path
from typing import Annotated

import typer

from stream.cli.console import screen

from .model import training_side


def field_crops(
    slide: Annotated[Path, typer.Argument(help="Slide of whole fields laid edge to edge.")],
    out: Annotated[Path, typer.Option(help="Folder for the crops, one folder a class.")],
    boxes: Annotated[
        Path | None, typer.Option(help="JSON of its boxes; SLIDE.boxes.json by default.")
    ] = None,
) -> None:
    """Cut training crops out of fields whose cells carry boxes.

    They are 36 um squares. Cells that a field's edge cuts are left out, and of the red cells all
    but a share.

    Example: cytostream field-crops ../shared/data/slides/cbc-fields.tiff --out runs/cbc-crops
    """
    with training_side():
        from classify.training import write_field_crops

    made = write_field_crops(slide, boxes or slide.with_suffix(".boxes.json"), out)
    screen.print(f"{out}: " + ", ".join(f"{count} {name}" for name, count in made.items()))


def pack_data(
    config: Annotated[Path, typer.Argument(help="Recipe (TOML) with sources.")],
    out: Annotated[Path, typer.Option(help="File to write; `train` reads it.")],
) -> None:
    """Put a recipe and its images into one file.

    It is for another machine, and of at most 60 MiB.

    Example: cytostream pack-data configs/training/white-cells.toml --out runs/white-cells.zip
    """
    with training_side():
        from classify.training import pack_recipe as pack

    count = pack(config, out)
    screen.print(f"{out}: {count} images, {out.stat().st_size / 2**20:.1f} MiB")
