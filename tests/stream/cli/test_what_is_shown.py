"""What commands show a person at the end, whole."""

from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stream.cli.app import app
from stream.cli.commands import demo
from stream.cli.commands.model.classify import Calls, show_calls


def said(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done


def lines(capsys):
    return capsys.readouterr().err.splitlines()


def test_what_the_images_of_class_folders_were_called(capsys):
    calls = Calls(
        classes=("blast", "monocyte"),
        skipped={Path("a/broken.png"): "no image"},
        called=Counter({"blast": 3, "monocyte": 2, "other": 1}),
        right={"blast": [True, True, False], "monocyte": [True, False], "strange": [False]},
        draws=15,
    )
    show_calls(calls)
    assert lines(capsys) == [
        "blast 3  monocyte 2  other 1",
        "6 images, 2.50 draws each; 1 left out:",
        "  a/broken.png: no image",
        "blast 0.667  monocyte 0.500",
        "balanced accuracy 0.5833",
    ]


def test_images_of_one_class_or_of_none_have_no_accuracy(capsys):
    for right in ({"blast": [True]}, {"strange": [False], "blast": [True]}):
        show_calls(Calls(("blast", "other"), {}, Counter(blast=1), right, draws=4))
        assert lines(capsys) == ["blast 1", "1 images, 4.00 draws each"]
    show_calls(Calls(("blast",), {}))
    assert lines(capsys) == ["", "0 images, 0.00 draws each"]


def test_ten_of_the_images_that_were_left_out_are_named(capsys):
    skipped = {Path(f"{number}.png"): "no image" for number in range(12)}
    show_calls(Calls(("blast",), skipped))
    assert lines(capsys)[1:] == [
        "0 images, 0.00 draws each; 12 left out:",
        *(f"  {number}.png: no image" for number in range(10)),
    ]


@pytest.mark.parametrize("serves", [True, False])
def test_the_demo_says_where_to_look_at_it_unless_it_serves_it(monkeypatch, tmp_path, serves):
    asked = []

    def run_demo(*words):
        asked.append(words)
        return tmp_path / "results-1"

    monkeypatch.setattr(demo, "run_demo", run_demo)
    words = ["--serve"] if serves else ["--keep"]
    shown = said("demo", "--out", tmp_path, *words).stderr
    where = f"cytostream serve --store {tmp_path / 'results-1'} --sink none"
    assert (where in shown) != serves
    assert asked == [(tmp_path, not serves, serves)]


def test_the_version_and_the_help_are_shown_without_a_command():
    assert said("--version").stdout.startswith("cytostream ")
    assert "Usage" in CliRunner().invoke(app, []).output
