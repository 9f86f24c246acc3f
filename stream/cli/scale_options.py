"""Options of the scale, as every command that opens slides has them."""

from typing import Annotated

import typer

from ingest import MPP_RANGE

LEAST, MOST = MPP_RANGE

MppOption = Annotated[
    float | None,
    typer.Option(min=LEAST, max=MOST, help="um per level-0 px, where the file does not say."),
]
MppOverrideOption = Annotated[
    float | None,
    typer.Option(min=LEAST, max=MOST, help="um per level-0 px, whatever the file says."),
]
