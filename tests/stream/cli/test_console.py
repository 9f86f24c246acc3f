"""What a person at the terminal sees of progress and of errors."""

from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from stream.cli import console
from stream.cli.console import Screen, print_error, red_cells_line, track


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(s=100.0)
    monkeypatch.setattr(console, "monotonic", lambda: now.s)
    return now


def test_where_nobody_looks_progress_is_a_line_every_ten_seconds(clock, capsys):
    waits = [4.0, 5.5, 0.5, 9.9, 0.1, 30.0, 1.0]
    for wait_s in track(waits, "reading", 7):
        clock.s += wait_s
    said = capsys.readouterr()
    assert not said.out
    assert said.err.splitlines() == [
        "reading: 3 of 7",
        "reading: 5 of 7",
        "reading: 6 of 7",
    ]


def test_at_a_terminal_progress_is_a_bar(clock, monkeypatch):
    out = StringIO()
    terminal = Console(file=out, force_terminal=True, width=80)
    monkeypatch.setattr(console, "screen", terminal)
    assert list(track("abc", "reading", 3)) == ["a", "b", "c"]
    assert "reading" in out.getvalue() and "100%" in out.getvalue()
    assert "3 of 3" not in out.getvalue()


def test_texts_are_no_markup_and_no_orders_to_the_terminal(capsys):
    screen = Screen()
    screen.print("[red]a[/] :smile: 12 \x1b[2J " + "x" * 300)
    print_error("a\x07b", "try\x1b[1m it")
    print_error("alone", word="note")
    said = capsys.readouterr()
    assert not said.out
    assert said.err.splitlines() == [
        "[red]a[/] :smile: 12 \\x1b[2J " + "x" * 300,
        "error: a\\x07b",
        "  -> try\\x1b[1m it",
        "note: alone",
    ]


def test_the_word_of_an_error_alone_has_a_colour(monkeypatch):
    out = StringIO()

    class Terminal(Screen):
        def __init__(self):
            Console.__init__(self, file=out, force_terminal=True, width=80, color_system="standard")

    monkeypatch.setattr(console, "screen", Terminal())
    print_error("it failed", "try it")
    print_error("it waits", style="yellow")
    assert out.getvalue() == (
        "\x1b[31merror:\x1b[0m it failed\n  -> try it\n\x1b[33merror:\x1b[0m it waits\n"
    )


def test_the_red_cells_of_a_report_are_those_with_a_grade():
    assert red_cells_line({}) == ""
    assert red_cells_line({"cells": 5}) == "5"
    kinds = {
        "oval": {"grade": 2, "percent": 12.34},
        "normal": {"grade": 0, "percent": 80.0},
        "spherocyte": {"grade": 1, "percent": 3.06},
    }
    line = red_cells_line({"cells": 90, "kinds": kinds})
    assert line == "90  oval 2+ (12.3 %)  spherocyte 1+ (3.1 %)"
