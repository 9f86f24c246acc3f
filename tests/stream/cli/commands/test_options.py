"""Every option of every command with its default, limits and help: what scripts rest on."""

from typer.main import get_command

from classify import SHIPPED
from stream.cli.app import app, load_command
from stream.cli.command_table import COMMANDS
from tests.approved import approved


def lines_of(command):
    """An option or argument a line: its names, kind and limits, its help and default."""
    for option in command.params:
        names, text = option.get_help_record(command.make_context("x", [], resilient_parsing=True))
        if option.name not in ("help", "install_completion", "show_completion"):
            yield f"  {names}  {text}".rstrip()


def described(name, command):
    """A command and those below it."""
    yield f"\n{name}: {' '.join((command.help or '').split())}"
    yield from lines_of(command)
    for below, inner in getattr(command, "commands", {}).items():
        yield from described(f"{name} {below}", inner)


def test_options():
    lines = list(lines_of(get_command(app)))
    for name, entry in COMMANDS.items():
        lines += described(f"{entry.panel} | {name}", load_command(name))
    approved(__file__, "options", "\n".join(lines), model=SHIPPED)
