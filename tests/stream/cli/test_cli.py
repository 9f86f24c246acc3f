"""The command as a person types it: the shipped model, real processes, errors of one line."""

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ingest.synthetic.sprites import write_pyramid
from stream.cli.app import app
from stream.config import Config, load_config
from stream.store.outbox import Outbox
from tests.make import smear

ROOT = Path(__file__).parents[3]
CLI = [sys.executable, "-m", "stream.cli"]


def cytostream(*words, **options):
    return subprocess.run(
        [*CLI, *map(str, words)], capture_output=True, text=True, timeout=110, cwd=ROOT, **options
    )


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "smear.tiff"
    smear(path, side_px=1500, whites=8)
    return path


def run_words(slide_file, folder, workers=0):
    config = folder / "few.toml"
    config.write_text("[red_cells]\njudged = 20\n")
    return [
        "run",
        slide_file,
        "--config",
        config,
        "--store",
        folder / "store",
        "--sink",
        f"jsonl:{folder / 'events.jsonl'}",
        "--workers",
        workers,
        "--tile-px",
        256,
    ]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def reference(slide_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    done = cytostream("--verbose", *run_words(slide_file, folder), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), lines(folder / "events.jsonl"), done.stderr


def test_a_run_reports_and_sends(reference):
    report, events, _ = reference
    assert report["status"] == "done" and sum(report["counts"].values()) == report["cells"] >= 8
    assert {"id", "type", "source", "subject", "time", "data"} <= events[0].keys()
    assert sum(e["type"] == "cytostream.cell.v1" for e in events) == report["cells"]


def test_verbose_says_how_long_each_tile_took(reference):
    logged = reference[2]
    tiles = [line for line in logged.splitlines() if " tile at (" in line]
    assert 8 <= len(tiles) <= 36 and all("read" in t and "find" in t for t in tiles), logged


def labels_of(events):
    return {
        e["data"]["cell_id"]: e["data"]["label"]
        for e in events
        if e["type"] == "cytostream.cell.v1"
    }


def test_killed_in_the_middle_and_run_again_each_event_is_there_once(
    slide_file, reference, tmp_path
):
    words = [*CLI, *map(str, run_words(slide_file, tmp_path, workers=2))]
    running = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    wait_for_cells(tmp_path / "store" / "state.db", running)
    running.send_signal(signal.SIGKILL)
    running.wait()
    with Outbox(tmp_path / "store" / "state.db") as outbox:
        assert {outbox.status(slide_id) for slide_id in outbox.slide_ids()} == {"running"}
    again = cytostream(*run_words(slide_file, tmp_path))
    assert again.returncode == 0, again.stderr
    events = lines(tmp_path / "events.jsonl")
    with Outbox(tmp_path / "store" / "state.db") as outbox:
        kept = [record.event.id for record in outbox.events()]
    assert Counter(e["id"] for e in events) == Counter(kept)
    assert labels_of(events) == labels_of(reference[1])


def wait_for_cells(state, running):
    """Until cells are committed, which the process tells nobody."""
    while running.poll() is None and not committed_cells(state):
        with suppress(subprocess.TimeoutExpired):
            running.wait(0.02)


def committed_cells(state):
    """How many cells the state file has; none while it or its tables are still being made."""
    try:
        with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as open_state:
            return open_state.execute("SELECT count(*) FROM cells").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(slide_file, reference, tmp_path):
    """A limit on the size of files stands in for the disk's: the write fails in the same place."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))  # noqa: E731
    # a file of coverage does not fit into it
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    full = cytostream(*run_words(slide_file, tmp_path), preexec_fn=limit, env=env)
    assert full.returncode == 1 and "error:" in full.stderr and "Traceback" not in full.stderr
    again = cytostream(*run_words(slide_file, tmp_path))
    assert again.returncode == 0, again.stderr
    assert labels_of(lines(tmp_path / "events.jsonl")) == labels_of(reference[1])


def test_an_unreachable_broker_delays_and_loses_nothing(slide_file, reference, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(
        '[kafka]\nbootstrap = "127.0.0.1:9"\ngive_up_s = 1.0\n'
        "[reading]\ntile_px = 256\nworkers = 0\n[red_cells]\njudged = 20\n"
    )
    words = ["run", slide_file, "--store", tmp_path / "store", "--config", config]
    absent = cytostream(*words, "--sink", "kafka")
    assert (
        absent.returncode == 1
        and "events wait in the store" in absent.stderr
        and "same command" in absent.stderr
    )
    later = cytostream(*words, "--sink", f"jsonl:{tmp_path / 'events.jsonl'}")
    assert later.returncode == 0
    assert labels_of(lines(tmp_path / "events.jsonl")) == labels_of(reference[1])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "missing.svs", "--workers", "0", "--sink", "jsonl:e.jsonl"], "no such file"),
        (["run", "x.svs", "--sink", "carrier-pigeon"], "no sink"),
        (["run", "x.svs", "--config", "bad.toml"], "colour"),
        (["classify", "."], "no image here"),
        (["locate", "missing.svs"], "no such file"),
        (["generate", "unicorn", "--out", "o"], "no class of this model"),
        (["card", "."], "no model card"),
        (["train", "missing.toml"], "missing.toml"),
    ],
)
def test_errors_are_one_line_with_a_next_step(tmp_path, words, says):
    (tmp_path / "bad.toml").write_text('colour = "blue"\n')
    (tmp_path / "x.svs").touch()
    failed = subprocess.run(
        [*CLI, *words], capture_output=True, text=True, timeout=110, cwd=tmp_path
    )
    assert (
        failed.returncode == 1
        and says in failed.stderr
        and "->" in failed.stderr
        and "Traceback" not in failed.stderr
    )


def test_locate_and_classify(slide_file, tmp_path):
    located = cytostream("locate", slide_file, "--json", tmp_path / "cells.jsonl", "--workers", 0)
    assert located.returncode == 0, located.stderr
    found = lines(tmp_path / "cells.jsonl")
    assert {"kind", "box"} <= found[0].keys() and Counter(c["kind"] for c in found)["wbc"] >= 8


def test_classify_writes_a_line_an_image_and_counts_what_it_left_out(tmp_path):
    import numpy as np
    from PIL import Image

    (tmp_path / "broken.png").write_text("no image")
    Image.fromarray(np.full((128, 128, 3), 220, np.uint8)).save(tmp_path / "a.png")
    done = CliRunner().invoke(app, ["classify", str(tmp_path), "--json", str(tmp_path / "v.jsonl")])
    assert done.exit_code == 0, done.output
    (line,) = lines(tmp_path / "v.jsonl")
    assert (
        line["label"] in line["scores"]
        and 0 <= line["anomaly"]["score"] <= 1
        and line["draws"] >= 1
    )
    assert line["path"].endswith("a.png")


def test_help_has_examples():
    out = CliRunner().invoke(app, ["run", "--help"]).output
    assert "cytostream run smear.svs" in out


def test_the_example_configuration_is_the_defaults():
    assert load_config(ROOT / "configs" / "example.toml") == Config()


def test_the_training_presets_name_only_known_keys():
    pytest.importorskip("torch", reason="training needs the train extra")
    import tomllib

    from classify.training import TrainConfig

    for path in (ROOT / "configs").glob("pbc-*.toml"):
        TrainConfig(**tomllib.loads(path.read_text()))


def test_an_empty_slide_by_command(tmp_path):
    import numpy as np

    write_pyramid(tmp_path / "white.tiff", np.full((600, 600, 3), 250, np.uint8), 0.25)
    done = cytostream(*run_words(tmp_path / "white.tiff", tmp_path))
    assert done.returncode == 0 and "done" in done.stderr
