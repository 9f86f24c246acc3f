"""A slide judged on workers has the results that it has when it is judged here, bit for bit."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from classify import SHIPPED, ModelError, load_model, open_engine
from ingest import SerialWorkers
from segment import TileCells
from stream.config import Config, Reading
from stream.events.event import Provenance
from stream.run import EngineOpener, RunContext, TileJudge
from stream.run.pipeline import run_slide
from stream.run.tile_judge import JudgedTile
from stream.store import Outbox, SlideStore, store_path
from tests.make import BrightnessEngine, smear, tiny_model


class TravellingWorkers(SerialWorkers):
    """What would go to another process and come back goes through pickle."""

    def each(self, function, items, limit_s):
        there = pickle.loads(pickle.dumps(function))
        self.functions = [*getattr(self, "functions", []), there]
        for arrived in super().each(there, items, limit_s):
            yield pickle.loads(pickle.dumps(arrived))


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "smear.tiff"
    smear(path, side_px=600, whites=3)
    return path


@pytest.fixture(scope="module")
def openvino():
    model = load_model(SHIPPED)
    return model, open_engine(model, "openvino", "f32")


def open_tiny():
    return tiny_model(), BrightnessEngine()


def results(folder, slide, model, engine, **changes):
    """Events without their times, the rows of the journal, and the columns of the store."""
    folder.mkdir()
    workers = TravellingWorkers()
    with Outbox(folder / "state.db") as outbox:
        stamp = Provenance("test", model.model_id, "c", {})
        config = Config(reading=Reading(tile_px=512))
        lab = RunContext(config, model, engine, workers, outbox, folder, stamp, **changes)
        report = run_slide(lab, slide)
        events = {
            (record.event.id, repr(record.event.data))
            for record in outbox.events()
            if record.kind == "cells"
        }
        rows = {row.cell_id: row.body for row in outbox.cells(report.slide.slide_id)}
    store = SlideStore.open(store_path(folder, report.slide.slide_id))
    order = np.argsort([bytes(row).hex() for row in store.read("cell_id")])
    columns = {name: store.read(name)[order] for name in dict(store.group.arrays())}
    assert report.status == "done" and len(rows) >= 3
    return events, rows, columns, workers


def test_openvino_judges_there_as_here(tmp_path, slide, openvino):
    model, engine = openvino
    opener = EngineOpener(SHIPPED, model.model_id, engine.name, engine.precision)
    here = results(tmp_path / "here", slide, model, engine)
    there = results(tmp_path / "there", slide, model, engine, open_judge=opener)
    assert here[:2] == there[:2]
    assert here[2].keys() == there[2].keys()
    for name, values in here[2].items():
        np.testing.assert_array_equal(values, there[2][name], name)
    assert any(isinstance(function, TileJudge) for function in there[3].functions)
    assert opener()[1] is opener()[1]  # an engine is opened once a process


def test_the_engine_here_has_no_round_of_a_cell(tmp_path, slide):
    engine = BrightnessEngine()
    here = results(tmp_path / "here", slide, tiny_model(), BrightnessEngine())
    there = results(tmp_path / "there", slide, tiny_model(), engine, open_judge=open_tiny)
    assert here[:2] == there[:2] and engine.passes == 0


def test_another_model_on_a_worker_is_refused():
    with pytest.raises(ModelError, match="another model on a worker"):
        EngineOpener(SHIPPED, "m0", "openvino", "f32")()


def test_a_tile_without_cells_opens_no_engine():
    empty = SimpleNamespace(cells_in=lambda spec: TileCells([]))
    assert TileJudge(empty, None)("tile") == JudgedTile(TileCells([]), [])
