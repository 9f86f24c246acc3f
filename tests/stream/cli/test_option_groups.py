"""A parameter that is a dataclass becomes the options that are its fields."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from stream.cli.app import load_command
from stream.cli.option_groups import spread_groups


@dataclass(frozen=True)
class Shape:
    side: Annotated[int, typer.Option("--side", min=1)] = 3
    colours: Annotated[list[str] | None, typer.Option("--colour")] = None


def called_with(words: list[str]) -> list[object]:
    got = []

    def draw(name: str, shape: Shape, bold: bool = False) -> None:
        got.extend([name, shape, bold])

    app = typer.Typer()
    app.command()(spread_groups(draw))
    assert CliRunner().invoke(app, words).exit_code == 0
    return got


def test_fields_are_options_and_arrive_as_the_dataclass():
    words = ["box", "--side", "5", "--colour", "red", "--colour", "blue", "--bold"]
    assert called_with(words) == ["box", Shape(5, ["red", "blue"]), True]


def test_their_defaults_are_those_of_the_fields():
    assert called_with(["box"]) == ["box", Shape(), False]


@pytest.mark.parametrize("name", ["run", "watch"])
def test_commands_that_run_slides_have_the_same_options(name):
    names = [option for one in load_command(name).params for option in one.opts]
    shared = {"--sink", "--model", "--red-model", "--engine", "--device", "--again", "--workers"}
    assert shared <= set(names) and len(set(names)) == len(names)
