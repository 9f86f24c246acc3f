"""The command `cytostream`: the one place that chooses engines and sinks and turns errors into one line."""

import logging
import sys
from typing import Annotated

import typer

from ingest import CytostreamError

from . import (
    commands_bench,
    commands_bench_locate,
    commands_compile,
    commands_evaluate,
    commands_explain,
    commands_export,
    commands_model,
    commands_run,
    commands_serve,
    commands_slide,
    commands_topics,
    commands_watch,
    doctor,
    screen,
)
from .demo import demo

app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich",
)  # fmt: skip

app.command()(commands_run.run)
app.command()(commands_watch.watch)
app.command()(commands_run.relay)
app.command()(commands_run.replay)
app.command()(commands_topics.tail)
app.command()(commands_topics.alerts)
app.command()(commands_serve.serve)
app.add_typer(commands_serve.accounts_app, name="accounts")
app.command("export-results")(commands_export.export_results)
app.command()(commands_export.audit)
app.command()(demo)
app.command()(commands_slide.locate)
app.command("map")(commands_slide.map_slide)
app.command()(commands_slide.simulate)
app.command()(commands_model.classify)
app.command()(commands_model.card)
app.command()(commands_model.train)
app.command()(commands_model.export)
app.command()(commands_evaluate.evaluate)
app.command()(commands_explain.explain)
app.command()(commands_explain.index)
app.command()(commands_explain.calibrate)
app.command()(commands_explain.authenticity)
app.command()(commands_model.generate)
commands_bench.app.command("locate")(commands_bench_locate.locate)
app.add_typer(commands_bench.app, name="bench")
app.command("compile")(commands_compile.compile_engine)
app.command()(commands_topics.schemas)
app.command()(commands_topics.config)
app.command()(doctor.doctor)


@app.callback()
def settings(
    verbose: Annotated[bool, typer.Option("--verbose", help="Log to stderr: among others how long each tile took.")] = False,
) -> None:
    """Finds every cell of a blood smear slide, classifies it, and streams labels and alerts to Kafka."""
    if verbose:
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
        logging.getLogger("stream").setLevel(logging.INFO)


def main() -> None:
    """Run the command; an error of the house is one line on stderr and exit status 1."""
    try:
        app(standalone_mode=True)
    except CytostreamError as error:
        screen.print_error(error.what, error.hint)
        sys.exit(1)


if __name__ == "__main__":
    main()
