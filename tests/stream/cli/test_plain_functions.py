"""Below every command stands a plain function: the command itself reads options, calls it, shows
what it gives, and chooses the exit status.
"""

import ast
from pathlib import Path

import pytest

from stream.cli.app import PACKAGE, load_command
from stream.cli.command_table import COMMANDS

ROOT = Path(__file__).parents[3]
WORK = (ast.With, ast.Try, ast.While, ast.FunctionDef, ast.Import, ast.ImportFrom)


def functions_of(command) -> list:
    """The functions of a command and of those below it."""
    below = getattr(command, "commands", {}).values()
    own = [command.callback] if command.callback else []
    return [*own, *(function for one in below for function in functions_of(one))]


def tree_of(function) -> ast.FunctionDef:
    path = ROOT / Path(function.__module__.replace(".", "/")).with_suffix(".py")
    found = ast.walk(ast.parse(path.read_text()))
    return next(n for n in found if isinstance(n, ast.FunctionDef) and n.name == function.__name__)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_does_no_work_of_its_own(name):
    functions = [one for one in functions_of(load_command(name)) if one.__module__ != "typer.main"]
    assert functions
    for function in functions:
        assert function.__module__.startswith(PACKAGE)
        tree = tree_of(function)
        assert not [node for node in ast.walk(tree) if isinstance(node, WORK) and node is not tree]
