"""Search by likeness over the slides of a store, against distances worked out one by one."""

import json
import shutil
from datetime import date

import numpy as np
import pytest
from typer.testing import CliRunner

from ingest import StoreError
from stream.cli.app import app
from stream.store import (
    LikenessIndex,
    Outbox,
    SlideStore,
    index_store,
    like_cells,
    slides_between,
)

CLASSES = ("a", "b")


@pytest.fixture
def store(tmp_path):
    """Two slides of 70 cells each, one without features of its last cell, and one older slide."""
    Outbox(tmp_path / "state.db").close()
    rng = np.random.default_rng(2)
    for number in range(2):
        features = rng.normal(size=(70, 12)).astype(np.float16)
        features[69] = np.nan if number else features[69]
        columns = {
            "cell_id": rng.integers(256, size=(70, 8)).astype(np.uint8),
            "label": (np.arange(70) % 2).astype(np.uint8),
            "features": features,
        }
        SlideStore.create(tmp_path / f"s{number}.zarr", {"classes": CLASSES}).write(0, columns)
    old = SlideStore.create(tmp_path / "old.zarr", {"classes": CLASSES})
    old.write(0, {"label": np.zeros(3, np.uint8)})
    return tmp_path


def every_cell(store):
    for name in ("s0", "s1"):
        one = SlideStore.open(store / f"{name}.zarr")
        rows = zip(one.read("cell_id"), one.read("features"), one.read("label"), strict=True)
        for cell, features, label in rows:
            yield name, cell.tobytes().hex(), CLASSES[label], features.astype(float)


def test_it_finds_what_a_plain_search_finds(store):
    cells = list(every_cell(store))
    name, wanted, _, features = cells[5]
    plain = sorted(
        (1 - np.corrcoef(features, other)[0, 1], other_name, cell)
        for other_name, cell, _, other in cells
        if cell != wanted and np.isfinite(other).all()
    )
    found = like_cells(store, wanted, 10)
    assert [(one.slide_id, one.cell_id) for one in found] == [row[1:] for row in plain[:10]]
    assert found[0].distance == pytest.approx(plain[0][0], abs=1e-4)


def test_slide_and_class_narrow_it(store):
    wanted = next(every_cell(store))[1]
    found = like_cells(store, wanted, 100, label="b", wanted_slides={"s1"})
    assert len(found) == 34 and {(one.slide_id, one.label) for one in found} == {("s1", "b")}
    assert like_cells(store, wanted, 5, label="none such") == []


def test_the_command_says_it_as_lines(store):
    wanted = next(every_cell(store))[1]
    said = CliRunner().invoke(app, ["similar", wanted, "--store", str(store), "--json"])
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert len(lines) == 10 and lines[0].keys() == {"distance", "slide_id", "cell_id", "label"}


def test_days_narrow_it_on_the_command_line(store):
    wanted = next(every_cell(store))[1]
    with Outbox(store / "state.db") as outbox:
        for name, at in (("s0", "2026-03-01T23:30:00+00:00"), ("s1", "2026-03-02T00:30:00+02:00")):
            with outbox.transaction() as transaction:
                transaction.set_status(name, "done", at=at)
        with outbox.transaction() as transaction:
            transaction.set_status("s2", "running")
    assert slides_between(store) == {"s0", "s1", "s2"}
    assert slides_between(store, "s", date(2026, 3, 2)) == set()  # both ended on the first, in UTC
    assert slides_between(store, "s0", date(2026, 3, 1), date(2026, 3, 1)) == {"s0"}
    words = ["similar", wanted, "--store", str(store), "--json", "--count", "200"]
    said = CliRunner().invoke(app, [*words, "--since", "2026-03-01", "--slide", "s1"])
    assert said.exit_code == 0, said.output
    assert {json.loads(line)["slide_id"] for line in said.stdout.splitlines()} == {"s1"}
    assert CliRunner().invoke(app, [*words, "--until", "2026-02-28"]).stdout == ""
    assert CliRunner().invoke(app, [*words, "--since", "1 March"]).exit_code == 2


@pytest.mark.parametrize("name", ["", "xyz", "00" * 8])
def test_a_cell_that_is_not_there(store, name):
    with pytest.raises(StoreError, match="no cell"):
        like_cells(store, name)


def named(found):
    return [(one.slide_id, one.cell_id, one.label) for one in found]


def test_the_index_finds_what_the_exact_search_finds(store, monkeypatch):
    """Also where it has one slide of two, or fewer components than features."""
    monkeypatch.setattr("stream.store.search.likeness_index.COMPONENTS", 6)
    cells = [cell for _, cell, _, features in every_cell(store) if np.isfinite(features).all()]
    exact = {cell: like_cells(store, cell, 5) for cell in cells[::9]}
    narrow = like_cells(store, cells[0], 100, label="b", wanted_slides={"s1"})
    for finished, count in (({"s0"}, 70), ({"s0", "s1", "old"}, 139)):
        assert index_store(store, finished) == count
        for cell, found in exact.items():
            assert named(like_cells(store, cell, 5)) == named(found)
        assert named(like_cells(store, cells[0], 100, label="b", wanted_slides={"s1"})) == named(
            narrow
        )


def test_a_killed_writer_of_the_index_leaves_what_was_there(store):
    index_store(store, {"s0"})
    index = LikenessIndex(store)
    with (index.folder / "units.f16").open("ab") as file:
        file.write(b"half a row")
    wanted = next(every_cell(store))[1]
    before = like_cells(store, wanted, 5)
    assert index_store(store, {"s0", "s1"}) == 139
    assert [one.cell_id for one in like_cells(store, wanted, 5)] == [one.cell_id for one in before]


def test_what_was_removed_from_the_store_is_not_in_the_index(store):
    wanted = next(every_cell(store))[1]
    index_store(store, {"s0", "s1"})
    shutil.rmtree(store / "s1.zarr")
    assert index_store(store, {"s0", "s1"}) == 70
    assert {one.slide_id for one in like_cells(store, wanted, 50)} == {"s0"}
