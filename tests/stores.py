"""Builder: a store as a run leaves it, of any number of cells, with a slide that opens; it can go
on growing as a run would.
"""

import json
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from classify import SHIPPED, Anomaly, Verdict, read_card
from ingest import open_slide
from segment import Cell, RedCell, RedField, cell_id, summary_of
from stream.alerts.cell_rules import alerts_of
from stream.config import Alerts, RedCells
from stream.events.cell_events import alert_event, cell_event
from stream.events.event import Provenance
from stream.events.payloads import Progress
from stream.events.slide_events import slide_event
from stream.run.red_cells import RedJudge, keep_red_cells, kind_figures, platelet_figures
from stream.run.red_morphology import JudgedRed
from stream.store.outbox import Outbox
from stream.store.places import store_path
from stream.store.results import ResultWriter, entry_of
from stream.store.slide_facts import facts_of
from stream.store.slide_store import SlideStore
from tests.make import smear, white_cell

CARD = read_card(SHIPPED)
RED_CARD = read_card(Path("red"))
STAMP = Provenance("test", "model-1", "config-1", {"cytostream": "0.1.0"})
COLOURS = 16
TILES = 10


class Filled:
    """A store with one slide. `add` commits cells as the pipeline does; `say` sets the status."""

    def __init__(self, store: Path, name: str = "smear.tiff", seed: int = 0, side_px: int = 700):
        self.store, self.rng = store, np.random.default_rng(seed)
        store.mkdir(parents=True, exist_ok=True)
        path = store.parent / name
        if not path.exists():
            smear(path, side_px=side_px, whites=4, seed=seed)
        self.slide, self.side_px = open_slide(path), side_px
        self.model_id = "model-1"
        self.outbox = Outbox(store / "state.db")
        self.writer = ResultWriter(self.outbox, self._zarr(), self.slide.slide_id, CARD)
        self.crops = [self._crop() for _ in range(COLOURS)]
        self.counts, self.alerts, self.cells = Counter(), 0, 0
        self.red_figures: dict = {}
        self.say("running")

    def _zarr(self) -> SlideStore:
        return SlideStore.create(
            store_path(self.store, self.slide.slide_id), {"classes": CARD.classes}
        )

    def _crop(self) -> np.ndarray:
        crop = np.full((128, 128, 3), (246, 238, 226), np.uint8)
        rgb, alpha = white_cell(self.rng, 36 / 128)
        top = (128 - len(rgb)) // 2
        part = crop[top : top + len(rgb), top : top + len(rgb)]
        part[:] = alpha[..., None] * rgb + (1 - alpha[..., None]) * part
        return crop

    def add(self, count: int, odd: int = 0, store: bool = True) -> list[str]:
        """Commits cells, the first `odd` of them with an alert; returns their ids."""
        events, rows, ids = [], [], []
        for n in range(count):
            cell, verdict = self._cell(), self._verdict(odd=n < odd)
            events.append(cell_event(self.slide, cell, verdict, STAMP))
            found = alerts_of(cell, verdict, Alerts())
            events += [alert_event(self.slide, cell, verdict, alert, STAMP) for alert in found]
            rows.append(entry_of(cell, verdict))
            self.counts[verdict.label] += 1
            self.alerts += len(found)
            ids.append(cell.cell_id)
        with self.outbox.transaction() as tx:
            tx.add(events)
            tx.add_cells(self.slide.slide_id, rows)
        self.cells += count
        if store:
            self.writer.write(count)
            while self.writer.under_way:
                self.writer.take_in(wait=True)
                self.writer.write()
        return ids

    def _cell(self) -> Cell:
        x, y = map(int, self.rng.integers(30, self.side_px - 30, 2))
        number = self.cells + int(self.rng.integers(1 << 40))
        crop = self.crops[int(self.rng.integers(COLOURS))]
        name, box = (
            cell_id(f"{self.slide.slide_id}{number}", x, y),
            (x - 20, y - 22, x + 21, y + 23),
        )
        return Cell(name, self.slide.slide_id, "wbc", x, y, box, 120.5, crop)

    def _verdict(self, odd: bool) -> Verdict:
        shares = self.rng.dirichlet(np.full(len(CARD.counted), 1.0 if odd else 0.08))
        scores = {**dict(zip(CARD.counted, map(float, shares), strict=True)), "other": 0.0}
        score = 0.9999 if odd else float(self.rng.uniform(0, 0.98))
        return Verdict(
            max(scores, key=scores.get),
            scores,
            Anomaly(score, 0.2, -0.3, "made by a test"),
            8,
            True,
            features=self.rng.normal(size=CARD.features).astype(np.float16),
        )

    def add_reds(self, kinds: dict[str, int]) -> None:
        """Keeps a field of judged red cells, so many of each kind, as the end of a run does."""
        names = [name for name, count in kinds.items() for _ in range(count)]
        px = RED_CARD.crop_px
        reds = tuple(self._red(place) for place in range(len(names)))
        labels = np.zeros((60, 60), np.uint16)
        for place in range(len(names)):
            labels[divmod(place, 60)] = place + 1
        crops = self.rng.integers(150, 250, (len(names), px, px, 3), dtype=np.uint8)
        area = (0, 0, self.side_px, self.side_px)
        places = tuple(range(len(names)))
        field = RedField(area, 0.03, reds, 2, 20, labels, 0.5, judged=places, crops=crops)
        judged = {
            (0, place): JudgedRed(reds[place], name, 0.6 + 0.3 * self.rng.random(), 0.5)
            for place, name in enumerate(names)
        }
        red = RedJudge(SimpleNamespace(card=RED_CARD), None)
        keep_red_cells(self.writer.store, [field], judged, red)
        summary = asdict(summary_of([field])) | platelet_figures([field], RedCells())
        self.red_figures = summary | kind_figures(list(judged.values()), 0.999)

    def _red(self, place: int) -> RedCell:
        x, y = 10 * (place % 60) + 8, 10 * (place // 60) + 8
        area = float(self.rng.normal(42, 6))
        return RedCell(x, y, round(area, 3), 0.9, 0.2, box_px0=(x - 5, y - 5, x + 5, y + 5))

    def say(self, status: str) -> None:
        """Sets the slide's status as the pipeline does."""
        progress = Progress(
            tiles_done=TILES if status == "done" else 3,
            tiles=TILES,
            cells=self.cells,
            alerts=self.alerts,
        )
        facts = {
            "counts": dict(self.counts),
            "progress": progress.model_dump(),
            "slide": facts_of(self.slide),
        }
        about = {
            "at": datetime.now(UTC).isoformat(),
            "model_id": self.model_id,
            "config_id": "config-1",
            "mpp": self.slide.mpp,
        }
        about |= {"red_cells": self.red_figures} if self.red_figures else {}
        with self.outbox.transaction() as tx:
            tx.add(
                [
                    slide_event(
                        self.slide,
                        status,
                        STAMP,
                        progress,
                        dict(self.counts) if status == "done" else None,
                    )
                ]
            )
            tx.set_status(self.slide.slide_id, status, **facts, **about)

    def done(self) -> "Filled":
        self.writer.write(final=True)
        self.say("done")
        return self

    def labels(self) -> dict[str, str]:
        """What the machine calls each cell."""
        rows = self.outbox.cells(self.slide.slide_id)
        return {row.cell_id: json.loads(row.body)["verdict"]["label"] for row in rows}

    def close(self) -> None:
        self.outbox.close()


def filled(store: Path, cells: int = 40, odd: int = 3, **options) -> Filled:
    """A finished slide."""
    made = Filled(store, **options)
    made.add(cells, odd)
    return made.done()
