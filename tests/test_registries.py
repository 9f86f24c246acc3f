"""One more of each kind is one file and one line in a registry: a throwaway one of each is added
here and used.
"""

from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from classify import judge, open_engine
from classify.engines.engine import ENGINES
from ingest import Level, Slide, look_at_folder, open_slide, read_tile
from ingest.slide import FORMATS, SlideFormat
from ingest.tiles import TileSpec
from segment import kinds as kinds_module
from segment.kinds import CELL_KINDS, CellKind
from segment.region import blob_of
from stream.alerts.cell_rules import CELL_RULES, CellFinding
from stream.alerts.evaluator import AlertEvaluator
from stream.alerts.slide_rules import SLIDE_RULES
from stream.cli.app import app
from stream.config import Alerts, Config
from stream.events import EVENT_TYPES, Event, EventType, SlideAlert, event_schemas
from stream.events.codec import from_line, to_line
from stream.events.payloads import Payload
from stream.review.report.formats import FORMS, Form
from stream.sinks import open_sink
from stream.sinks.registry import SINKS
from stream.sinks.relay import send_batch
from stream.store.outbox import Outbox
from tests.make import BrightnessEngine, tiny_model
from tests.segment.smears import glass, white_cell
from tests.segment.test_cells import find
from tests.stores import filled
from tests.stream.making import make_cell, make_events, make_verdict

HERE = "tests.test_registries"


class GreyReader:
    """Pixels of the throwaway format: all of one grey."""

    def __init__(self, slide: Slide):
        self.grey = slide.path.read_bytes()[4]

    def read(self, x_px0: int, y_px0: int, level: int, size_px: tuple[int, int]) -> np.ndarray:
        return np.full((size_px[1], size_px[0], 3), self.grey, np.uint8)


def is_grey(path: Path) -> bool:
    return path.read_bytes()[:4] == b"GREY"


def grey_facts(path, files, mpp, override):
    levels = (Level(2048, 2048, 1.0),)
    return Slide("a" * 20, path, 2048, 2048, mpp or 0.25, levels, "grey", "unknown", "grey")


def test_a_slide_format(monkeypatch, tmp_path):
    more = SlideFormat(frozenset({".grey"}), is_grey, grey_facts, f"{HERE}:GreyReader")
    monkeypatch.setitem(FORMATS, "grey", more)
    path = tmp_path / "slide.grey"
    path.write_bytes(b"GREY" + bytes([77]))
    slide = open_slide(path)
    assert slide.reader == "grey"
    assert [one.path for one in look_at_folder(tmp_path).slides] == [path]
    tile = read_tile(slide, TileSpec(256, 256, 512, 512, 64, 1), (255, 255, 255))
    assert (tile.pixels == 77).all()


def open_brightness(model, name, precision, tell):
    return BrightnessEngine()


def test_an_engine(monkeypatch):
    monkeypatch.setitem(ENGINES, "brightness", f"{HERE}:open_brightness")
    model = tiny_model()
    engine = open_engine(model, "brightness")
    crops = np.full((2, 128, 128, 3), 40, np.uint8)
    labels = [verdict.label for _, verdict in judge(enumerate(crops), engine, model)]
    assert labels == ["dark", "dark"]


class NoteData(Payload):
    """What the throwaway event says."""

    text: str


def test_an_event_type(monkeypatch, tmp_path):
    name = "cytostream.note.v1"
    more = EventType(name, NoteData, "slides", lambda data: f"note    {data['text']}")
    monkeypatch.setitem(EVENT_TYPES, name, more)
    at = make_events(1)[0].time
    event = Event("1", name, "test", "s1", at, {"text": "hello"})
    assert from_line(to_line(event)) == event
    assert event.kind == "slides" and event.sentence() == "note    hello"
    assert event.payload() == NoteData(text="hello")
    assert event_schemas()[name]["properties"].keys() == {"text"}
    with Outbox(tmp_path / "state.db") as outbox:
        with outbox.transaction() as tx:
            tx.add([event])
        assert [record.kind for record in outbox.events()] == ["slides"]


def large_cell(cell, verdict, rules):
    if cell.area_um2 > 1:
        yield CellFinding("large", "notice", cell.area_um2, 1.0, "a large cell")


def many_cells(slide, rules):
    if slide.cells > 2:
        yield SlideAlert("many", "notice", slide.cells, 2, "many", slide.cells, slide.scanner)


def test_alert_rules():
    evaluator = AlertEvaluator(
        Alerts(),
        "scanner",
        Counter(),
        cell_rules=(*CELL_RULES, large_cell),
        slide_rules=(*SLIDE_RULES, many_cells),
    )
    assert [alert.rule for alert in evaluator.of_cell(make_cell(), make_verdict(0.1), 1)] == [
        "large"
    ]
    assert [alert.rule for alert in evaluator.of_slide(Counter(a=3), 3, [])] == ["many"]


class ListSink:
    """Keeps the ids of events in a list of the class."""

    usage = "list:NAME"
    lists: dict = {}

    @classmethod
    def open(cls, target, config, store_id):
        return cls(target)

    def __init__(self, target):
        self.name = f"list:{target}"

    def place(self):
        return None

    def send(self, batch):
        self.lists.setdefault(self.name, []).extend(record.id for record in batch)

    def close(self):
        pass


def test_a_sink(monkeypatch, tmp_path):
    monkeypatch.setitem(SINKS, "list", f"{HERE}:ListSink")
    monkeypatch.setattr(import_module(HERE).ListSink, "lists", {})
    events = make_events(3)
    with Outbox(tmp_path / "state.db") as outbox:
        with outbox.transaction() as tx:
            tx.add(events)
        sink = open_sink("list:here", Config(), outbox.store_id)
        assert send_batch(outbox, sink, 10) == 3
    assert import_module(HERE).ListSink.lists == {"list:here": [event.id for event in events]}


def test_a_cell_kind(monkeypatch):
    def find_dot(signals):
        return [blob_of("dot", np.ones((3, 3), bool), 60, 60)]

    monkeypatch.setattr(kinds_module, "CELL_KINDS", (*CELL_KINDS, CellKind("dot", 3, find_dot)))
    image = glass(300, 300)
    white_cell(image, 200, 200)
    found = find(image, ("wbc", "dot"))
    assert {cell.kind for cell in found} == {"wbc", "dot"}


@pytest.fixture
def made(tmp_path):
    made = filled(tmp_path / "store", cells=3, odd=0)
    yield made
    made.close()


def test_an_export_form(monkeypatch, made, tmp_path):
    count = Form("txt", "text/plain", lambda report, crops: str(len(report.cells)).encode())
    monkeypatch.setitem(FORMS, "txt", count)
    words = ["export-results", "--store", made.store, "--form", "txt", "--out", tmp_path / "out"]
    said = CliRunner().invoke(app, [str(word) for word in words])
    assert said.exit_code == 0, said.output
    (file,) = (tmp_path / "out").glob("*.txt")
    assert file.read_text() == "3"
