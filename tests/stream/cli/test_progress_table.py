"""What a person sees while slides run: how far, how fast, how long still, here and elsewhere."""

from collections import Counter
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from stream.cli import progress_table
from stream.cli.progress_table import ProgressTable, duration
from stream.events import Progress
from stream.store.backlog import Job


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(s=1000.0)
    monkeypatch.setattr(progress_table, "monotonic", lambda: now.s)
    return now


class FakeBacklog:
    """Jobs as they are given; `a` has told of 4 tiles, and this process holds what `holds` says."""

    def __init__(self, jobs, holds=False):
        self.given, self.looks = jobs, 0
        facts = {"progress": {"tiles_done": 4, "tiles": 10, "cells": 7, "alerts": 2}}
        leases = SimpleNamespace(holds=lambda _: holds)
        self.outbox = SimpleNamespace(facts_of_path=lambda _: facts, leases=leases)

    def jobs(self, only):
        self.looks += 1
        return self.given


def job(name, state):
    return Job(Path("/slides", name), state=state)


def progress(done, cells):
    return Progress(tiles_done=done, tiles=10, cells=cells, alerts=1)


def printed(table):
    out = StringIO()
    Console(file=out, width=120).print(table)
    return out.getvalue()


def test_a_slide_has_its_rate_and_its_time_left_since_it_was_taken_up(clock):
    backlog = FakeBacklog([job("a.svs", "running"), job("b.svs", "waiting")])
    table = ProgressTable(Console(file=StringIO()), backlog, quiet=True)
    slide = SimpleNamespace(path=Path("/slides/a.svs").resolve())
    table.show(slide, progress(2, 100), Counter())  # two tiles were done before
    table.rows[str(slide.path)].since_s = clock.s
    clock.s += 30
    table.show(slide, progress(5, 400), Counter())
    words = printed(table).split()
    row = words[words.index("a.svs") :]
    assert "5/10" in row and "400" in row and "10" in row  # cells a second
    assert "0:00:50" in row  # five tiles more, ten seconds each
    assert "b.svs" not in words


@pytest.mark.parametrize(("holds", "place"), [(True, "-"), (False, "elsewhere")])
def test_a_slide_of_another_process_has_its_figures_from_the_store(clock, holds, place):
    table = ProgressTable(Console(), FakeBacklog([job("a.svs", "running")], holds), quiet=True)
    row = printed(table).split("a.svs")[1].splitlines()[0].split()
    assert row[-4:] == ["4/10", "7", "2", place]


def test_the_time_left_goes_by_what_ended_since_the_start(clock):
    backlog = FakeBacklog([job("a", "done"), job("b", "running"), job("c", "waiting")])
    table = ProgressTable(Console(), backlog, quiet=True)
    assert "slides 1/3, left -" in printed(table)
    clock.s += 0.5
    backlog.given = [job("a", "done"), job("b", "failed"), job("c", "waiting")]
    assert "slides 1/3, left -" in printed(table) and backlog.looks == 1  # asked once a second
    clock.s += 59.5
    assert "slides 2/3, left 0:01:00" in printed(table)


def test_where_nobody_looks_a_line_comes_every_ten_seconds(clock):
    out = StringIO()
    table = ProgressTable(Console(file=out, width=120), FakeBacklog([]))
    slide = SimpleNamespace(path=Path("a.svs"))
    for wait_s, lines in ((9.0, 0), (1.0, 1), (9.9, 1), (0.1, 2)):
        clock.s += wait_s
        table.show(slide, progress(5, 40), Counter())
        assert len(out.getvalue().splitlines()) == lines
    assert out.getvalue().startswith("a.svs: 5/10 tiles, 40 cells, 1 alerts, left -")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0, "0:00:00"), (59.6, "0:01:00"), (3599, "0:59:59"), (36061, "10:01:01")],
)
def test_a_duration(seconds, text):
    assert duration(seconds) == text
