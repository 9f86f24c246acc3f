"""Options of the scale, as every command that opens slides has them."""

from typing import Annotated

import typer

from ingest import MPP_RANGE

_LEAST, _MOST = MPP_RANGE

MppOption = Annotated[
    float | None,
    typer.Option(min=_LEAST, max=_MOST, help="um per level-0 px, where the file does not say."),
]
MppOverrideOption = Annotated[
    float | None,
    typer.Option(min=_LEAST, max=_MOST, help="um per level-0 px, whatever the file says."),
]
