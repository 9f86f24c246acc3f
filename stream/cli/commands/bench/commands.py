"""`cytostream bench`: its two commands."""

import typer

from stream.cli.option_groups import spread_groups

from .judge import bench_judge
from .locate import bench_locate

bench_app = typer.Typer(
    help="Measure speed and what it costs in decisions, against a reference in the same run.",
    no_args_is_help=True,
)
bench_app.command("locate")(spread_groups(bench_locate))
bench_app.command("judge")(spread_groups(bench_judge))


@bench_app.callback()
def bench() -> None:
    """Measure speed and what it costs in decisions, against a reference in the same run."""
