"""The command `cytostream`: the one place that chooses engines and sinks and turns errors
into one line.
"""

import logging
import os
import sys
from typing import Annotated

import typer

from ingest import CytostreamError
from stream.store import OTHERS

from .commands import bench
from .commands.bench_locate import locate as bench_locate
from .commands.compile import compile_engine
from .commands.demo import demo
from .commands.doctor import doctor
from .commands.evaluate import evaluate
from .commands.explain import authenticity, calibrate, explain, index
from .commands.export import audit, export_results
from .commands.model import card, classify, export, generate, train
from .commands.run import relay, replay, run
from .commands.serve import accounts_app, serve
from .commands.slide import locate, map_slide, simulate
from .commands.topics import alerts, config, failures, schemas, tail
from .commands.watch import watch
from .console import print_error

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.command()(run)
app.command()(watch)
app.command()(relay)
app.command()(replay)
app.command()(tail)
app.command()(alerts)
app.command()(failures)
app.command()(serve)
app.add_typer(accounts_app, name="accounts")
app.command("export-results")(export_results)
app.command()(audit)
app.command()(demo)
app.command()(locate)
app.command("map")(map_slide)
app.command()(simulate)
app.command()(classify)
app.command()(card)
app.command()(train)
app.command()(export)
app.command()(evaluate)
app.command()(explain)
app.command()(index)
app.command()(calibrate)
app.command()(authenticity)
app.command()(generate)
bench.app.command("locate")(bench_locate)
app.add_typer(bench.app, name="bench")
app.command("compile")(compile_engine)
app.command()(schemas)
app.command()(config)
app.command()(doctor)


@app.callback()
def settings(
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Log to stderr: among others how long each tile took.")
    ] = False,
) -> None:
    """Finds every cell of a blood smear slide, classifies it, and streams labels and alerts
    to Kafka.
    """
    if verbose:
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
        logging.getLogger("stream").setLevel(logging.INFO)


def main() -> None:
    """Run the command; an error of the house is one line on stderr and exit status 1. What it
    writes is its owner's alone.
    """
    os.umask(OTHERS)
    try:
        app(standalone_mode=True)
    except CytostreamError as error:
        print_error(error.what, error.hint)
        sys.exit(1)
