"""`cytostream compile`: engines for graphics cards that this machine does not have."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from classify import SHIPPED, Compiled, Model, compile_ahead, load_model
from stream.cli.console import say
from stream.cli.options import ModelArgument

TARGETS = "sm_86,sm_89,sm_120"


def compile_engine(
    out: Annotated[
        Path, typer.Option(help="Folder of the engines; MODEL/engines is where a run looks first.")
    ],
    model: ModelArgument = SHIPPED,
    engine: Annotated[str, typer.Option(help="tensorrt-rtx.")] = "tensorrt-rtx",
    targets: Annotated[
        str, typer.Option(help="Compute capabilities of the cards, with commas between.")
    ] = TARGETS,
    precision: Annotated[
        str | None,
        typer.Option(help="f16, bf16 or f32; the fastest that the card allows by default."),
    ] = None,
    json_out: Annotated[
        bool, typer.Option("--json", help="One JSON line an engine to stdout.")
    ] = False,
) -> None:
    """Build engines ahead of time, on any machine: a graphics card is not needed.

    sm_86 is an RTX 30 card, sm_89 RTX 40, sm_120 RTX 50.

    Example: cytostream compile MODEL --engine tensorrt-rtx --targets sm_86,sm_89,sm_120 --out
    engines/
    """
    for target, made in compile_targets(
        load_model(model), engine, targets.split(","), out, precision
    ):
        took = "there already" if made.seconds is None else f"{made.seconds:.1f} s"
        say(f"{target}: {made.megabytes:.1f} MB, {took}: {made.path}")
        if json_out:
            line = {
                "target": target,
                "megabytes": made.megabytes,
                "seconds": made.seconds,
                "path": str(made.path),
            }
            typer.echo(json.dumps(line))


def compile_targets(
    model: Model, engine: str, targets: Sequence[str], out: Path, precision: str | None
) -> Iterator[tuple[str, Compiled]]:
    """An engine for each target, as it is made."""
    for target in map(str.strip, targets):
        yield target, compile_ahead(model, engine, target, out, precision)
