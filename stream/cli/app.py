"""The command `cytostream`: the one place that chooses engines and sinks and turns errors
into one line.

A command is imported when it is run: help, a typo and a path that is not there are answered
without the packages that read slides.
"""

import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer._click.exceptions import NoArgsIsHelpError, UsageError
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from .command_table import COMMANDS
from .option_groups import spread_groups
from .printable import printable

if TYPE_CHECKING:
    from typer._click.core import Command, Context

    from ingest import CytostreamError

_INTERRUPTED = 130
_OTHERS = 0o077  # the rights of others, which nothing that is written here has
HELP = {"--help"}
PACKAGE = "stream.cli.commands"
_EXTRAS = {
    **dict.fromkeys(("torch", "matplotlib", "onnx", "onnxscript", "torchvision"), "train"),
    **dict.fromkeys(("cuda", "tensorrt_rtx"), "rtx"),
    "tensorrt": "tensorrt",
    "noida_db": "broker",
    "bokeh": "dashboard",
    "hl7apy": "lis",
    **dict.fromkeys(("authlib", "joserfc", "requests"), "oidc"),
    **dict.fromkeys(("highdicom", "pydicom"), "dicom"),
    **dict.fromkeys(("anndata", "pandas", "pyarrow"), "exports"),
    "prometheus_client": "metrics",
}


class LazyCommands(TyperGroup):
    """Lists the commands by their summaries, and imports the one that is run."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = {
            name: TyperCommand(name, help=entry.summary, rich_help_panel=entry.panel)
            for name, entry in COMMANDS.items()
        }

    def resolve_command(
        self, ctx: "Context", args: list[str]
    ) -> tuple[str | None, "Command | None", list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name not in COMMANDS:
            return name, command, rest
        if COMMANDS[name].reads and rest and not rest[0].startswith("-"):
            check_there(rest[0])
        if COMMANDS[name].workers and not HELP & set(rest):
            from .fork_server import begin_fork_server  # loads multiprocessing

            begin_fork_server(rest)
        return name, load_command(name), rest

    def make_context(self, *args: Any, **options: Any) -> "Context":
        with interrupted_in_one_line():
            return super().make_context(*args, **options)

    def invoke(self, ctx: "Context") -> object:
        with interrupted_in_one_line():
            return super().invoke(ctx)


@contextmanager
def interrupted_in_one_line() -> Iterator[None]:
    """Ctrl-C at any time is one line, and exit status 130."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        raise typer.Exit(_INTERRUPTED) from None


def check_there(path: str) -> None:
    """Ends the command where a path that it reads is not there."""
    if not os.path.lexists(path):
        typer.echo(
            f"error: {printable(path)}: no such file or folder\n  -> check the path", err=True
        )
        raise typer.Exit(1)


def load_command(name: str) -> "Command":
    """The command itself, imported now."""
    entry = COMMANDS[name]
    with uncollected():
        found = getattr(import_module(f"{PACKAGE}.{entry.module}"), entry.name)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
        alone.command(name)(spread_groups(found))
        found = alone
    command = get_command(found)
    command.name = name
    return command


@contextmanager
def uncollected() -> Iterator[None]:
    """No search for garbage in the block, nor ever again among what it leaves: modules are kept,
    and a search after every few of them takes a fifth of the time of a command's imports.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def missing_package(error: ModuleNotFoundError) -> "CytostreamError":
    """What to install for a package that a command needs."""
    from ingest import CytostreamError

    extra = _EXTRAS.get((error.name or "").partition(".")[0])
    hint = f"pip install -e '.[{extra}]'" if extra else "install cytostream again: pip install -e ."
    return CytostreamError(f"this command needs {error.name}, which is not installed", hint)


def show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cytostream {version('cytostream')}")
        raise typer.Exit


app = typer.Typer(
    cls=LazyCommands, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich"
)


@app.callback()
def settings(
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Log to stderr: among others how long each tile took.")
    ] = False,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=show_version),
    ] = False,
) -> None:
    """Finds every cell of a blood smear slide, classifies it, and streams labels and alerts
    to Kafka.
    """
    if verbose:
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
        logging.getLogger("stream").setLevel(logging.INFO)


def run_command() -> None:
    """Run the command; an expected error is one line on stderr, and what to do next, with exit
    status 1, or 2 where the command line is at fault. What it writes is its owner's alone.
    """
    os.umask(_OTHERS)
    try:
        status = app(standalone_mode=False)
    except UsageError as error:
        sys.exit(report_usage(error))
    except typer.Abort:
        typer.echo("stopped", err=True)
        sys.exit(_INTERRUPTED)
    except Exception as error:
        from ingest import CytostreamError  # a command that raises it has imported it already

        if not isinstance(error, CytostreamError | ModuleNotFoundError):
            raise
        from .console import print_error

        told = error if isinstance(error, CytostreamError) else missing_package(error)
        print_error(told.what, told.hint)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def report_usage(error: UsageError) -> int:
    """Says what is wrong with the command line; the exit status."""
    if isinstance(error, NoArgsIsHelpError):
        error.show()
        return error.exit_code
    what = error.format_message().rstrip(".").replace("Input should", "it should")
    place = error.ctx.command_path if error.ctx else "cytostream"
    typer.echo(f"error: {printable(what)}\n  -> see `{place} --help`", err=True)
    return error.exit_code
