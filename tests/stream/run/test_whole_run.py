"""All that a run of one slide leaves, line by line, with a clock that counts its own looks: what
is said of its progress, its log, its events, rows, facts and columns.

The slide is real, and so are reading, finding, outbox and store; workers give their tiles out in a
fixed order, some of them with a fault.
"""

import json
import logging
from base64 import b64decode
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import pytest

from classify.teaching import TaughtClass
from ingest import CytostreamError, SerialWorkers
from stream.alerts import SlideTests, rare_classes
from stream.config import Alerts, BacklogSettings, Config, Reading, RedCells
from stream.events.event import Provenance
from stream.run import pipeline, slide_run
from stream.run.context import RunContext
from stream.run.pipeline import run_slide
from stream.store import Outbox, SlideStore, store_path
from tests.approved import approved, laid_out, picture
from tests.make import BrightnessEngine, smear, tiny_model
from tests.stream.run.test_pipeline import red_judge

CLAIMS = "SELECT * FROM claims"
RULES = Alerts(
    anomaly_above=0.2,
    at_most_per_slide=3,
    anomalies_per_slide=2,
    white_at_least=1,
    classes=[{"label": "light", "above": 0.05, "severity": "urgent"}],
    per_100_white=[{"labels": ["light"], "above": 10, "severity": "notice"}],
    excess=[{"labels": ["light"], "background": 0.02}],
)


class Scripted(SerialWorkers):
    """Workers whose tiles come in order, each after a look at which none is there; `faults` are
    errors, or boxes that could not be decoded, by the tile's number.
    """

    def __init__(self, faults=()):
        super().__init__()
        self.faults, self.asked = dict(faults), []

    def each(self, function, items, limit_s):
        name = getattr(getattr(function, "func", function), "__name__", type(function).__name__)
        self.asked.append(f"each {name} of {len(items)} within {limit_s} s")
        arrived = filter(None, super().each(function, items, limit_s))
        yield None
        for number, (item, found) in enumerate(arrived):
            fault = self.faults.get(number) if name in ("cells_in", "TileJudge") else None
            yield item, self.troubled(found, fault)
            yield None

    @staticmethod
    def troubled(found, fault):
        if isinstance(fault, Exception):
            return fault
        cells = getattr(found, "found", found)
        if hasattr(cells, "read_s"):
            cells = replace(cells, unread=fault or cells.unread, read_s=0.25, find_s=0.5)
        return replace(found, found=cells) if hasattr(found, "found") else cells


class Renaming:
    """Stands for taught classes: it calls a light cell `pale`."""

    classes = (
        TaughtClass.model_construct(
            name="pale", version=2, by="mo", at="2026-01-02", cells=("a", "b"), expected=None
        ),
    )
    taught_ids = "pale-2"

    def verdict(self, given):
        is_light = given.label == "light"
        pale = given.scores["light"] if is_light else 0.0
        return replace(
            given,
            label="pale" if is_light else given.label,
            scores={**given.scores, "pale": pale},
            taught=("pale",),
            standard_label=given.label,
        )


class Record:
    """A store, and what its runs say: a line an act."""

    def __init__(self, folder, caplog, monkeypatch):
        self.lines, self.caplog, self.folder = [], caplog, folder
        self.seen_seq = self.seen_row = 0
        self.outbox = Outbox(folder / "state.db")
        for module in (slide_run, pipeline):
            ticks = count()
            monkeypatch.setattr(module, "monotonic", lambda ticks=ticks: next(ticks) / 8)
        caplog.set_level(logging.INFO, "stream")

    def lab(self, workers, tile_px=256, red=None, **changes):
        config = Config(
            reading=Reading(tile_px=tile_px, read_limit_s=50, judge_limit_s=7),
            alerts=RULES,
            red_cells=RedCells(judged=6),
            backlog=BacklogSettings(progress_s=1.0),
        )
        lab = RunContext(
            config,
            tiny_model(),
            BrightnessEngine(),
            workers,
            self.outbox,
            self.folder,
            Provenance("test", "model-1", "config-1", {"cytostream": "0"}, share_codes="clear"),
            self.progress,
            self.stage,
            red,
            tests=SlideTests(rare_classes(RULES)),
            shadow=SimpleNamespace(after=self.after),
        )
        return replace(lab, **changes)

    def progress(self, slide, progress, cells):
        self.lines.append(f"progress {progress.model_dump()} {dict(cells)}")

    def stage(self, name, seconds):
        self.lines.append(f"stage {name} {seconds:g} s")

    def after(self, outbox, folder, slide_id, rules):
        """What a second model is asked."""
        is_same = (outbox, folder, rules) == (self.outbox, self.folder, RULES)
        self.lines.append(f"second model {slide_id} {is_same}")

    def run(self, lab, path):
        outcome = run_slide(lab, path, announced='{"order": "O7"}')
        self.lines += getattr(lab.workers, "asked", [])
        self.lines += [log_line(record) for record in self.caplog.records]
        self.caplog.clear()
        self.lines.append(
            f"{outcome.status}: {dict(outcome.counts)} {outcome.progress.model_dump()} again="
            f"{outcome.again} unfit={outcome.unfit} damaged={outcome.damaged} {outcome.failure}"
        )
        return outcome

    def kept(self, slide_id):
        """What the store has of a slide; of events and cells those that are new."""
        self.lines.append(f"status {self.outbox.status(slide_id)}")
        self.lines.append(laid_out(self.outbox.facts(slide_id)))
        self.lines.append(f"claims {self.outbox.rows(CLAIMS)}")
        self.lines.append(f"tiles {sorted(self.outbox.tiles_done(slide_id))}")
        for record in self.outbox.events(after_seq=self.seen_seq):
            self.seen_seq = record.seq
            self.lines.append(f"event {record.seq} {record.event.type} {record.event.subject}")
            self.lines.append(laid_out(with_picture(record.event.data)))
        for row in self.outbox.cells(slide_id, after_row=self.seen_row):
            self.seen_row = row.row
            self.lines.append(f"cell {laid_out(json.loads(row.body))} {row.crop is None}")
        store = SlideStore.open(store_path(self.folder, slide_id))
        facts = {key: one for key, one in store.facts.items() if key != "config"}
        self.lines += [laid_out(facts), laid_out(store.facts["config"]["reading"])]
        columns = sorted(store.group.arrays())
        self.lines.append(
            "columns " + ", ".join(f"{name} {one.dtype} {one.shape}" for name, one in columns)
        )

    def text(self):
        self.outbox.close()
        return "\n".join(self.lines)


def log_line(record):
    known = ("slide_id", "event_id", "status")
    extra = {name: getattr(record, name) for name in known if hasattr(record, name)}
    return f"{record.levelname} {record.getMessage()} {extra}"


def with_picture(data):
    shown = data.get("thumbnail_png")
    return {**data, "thumbnail_png": picture(b64decode(shown))} if shown else data


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "smear.tiff"
    smear(path, side_px=420, whites=3)
    return path


@pytest.fixture
def record(tmp_path, caplog, monkeypatch):
    folder = tmp_path / "store"
    folder.mkdir()
    return Record(folder, caplog, monkeypatch)


AWAY = CytostreamError("the cluster lost a worker", "it is tried again")


def test_a_run_with_faults_and_the_run_that_goes_on(record, slide_file, tmp_path):
    faults = {0: AWAY, 2: ((0, 320, 64, 384),)}
    first = record.run(record.lab(Scripted(faults)), slide_file)
    slide_id = first.slide.slide_id
    record.kept(slide_id)
    record.lines.append("\nthe run that goes on")
    record.run(record.lab(Scripted()), slide_file)
    record.kept(slide_id)
    record.run(record.lab(Scripted()), slide_file)
    approved(__file__, "whole-run", record.text(), slide=slide_file.parent, store=tmp_path)


def test_workers_that_judge_and_classes_that_were_taught(record, slide_file, tmp_path):
    """The same by verdicts that come with the tiles, with a second model for red cells."""
    lab = record.lab(
        Scripted({2: AWAY}),
        red=red_judge(),
        taught=Renaming(),
        open_judge=lambda: (tiny_model(), BrightnessEngine()),
    )
    first = record.run(lab, slide_file)
    record.kept(first.slide.slide_id)
    record.run(replace(lab, workers=Scripted()), slide_file)
    record.kept(first.slide.slide_id)
    approved(__file__, "judged-by-workers", record.text(), slide=slide_file.parent, store=tmp_path)
