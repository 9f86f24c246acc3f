"""The main path held against what is true from outside it: the smear's own cells, the events, the
whole run where one was interrupted, and a process that was taken over.
"""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from ingest import CytostreamError, SlideError, open_slide
from stream.config import Alerts, Config, Kafka, Reading
from stream.events.codec import to_line
from stream.run.pipeline import run_slide, slide_lease
from stream.store.leases import LeaseLostError
from stream.store.places import store_path
from stream.store.slide_store import SlideStore
from tests.make import MPP, smear
from tests.stream.run.test_pipeline import lab_in

WHITES = 5
RADIUS_UM = 5.5  # of the white cells that `smear` draws
NEAR_UM = 1.0


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A smear, and where its white cells truly are."""
    path = tmp_path_factory.mktemp("slides") / "smear.tiff"
    return path, smear(path, side_px=900, whites=WHITES, seed=4)


@pytest.fixture(scope="module")
def whole(drawn, tmp_path_factory):
    lab = lab_in(tmp_path_factory.mktemp("whole"), config=settings())
    return lab, run_slide(lab, drawn[0])


def settings(**rules):
    """Every cell is an alert, so that all of them can be counted."""
    alerts = Alerts(anomaly_above=0.0, chance_below=1e-9, **rules)
    return Config(reading=Reading(tile_px=256), alerts=alerts)


def journal(lab, report):
    return [json.loads(row.body) for row in lab.outbox.cells(report.slide.slide_id)]


def events_of(lab, kind):
    return [record.event.data for record in lab.outbox.events() if record.event.kind == kind]


def test_each_drawn_cell_is_found_once_where_it_is(drawn, whole):
    cells = [body["cell"] for body in journal(*whole) if body["cell"]["kind"] == "wbc"]
    places = np.array([(cell["x_px0"], cell["y_px0"]) for cell in cells])
    away_um = np.hypot(*(places[:, None] - np.array(drawn[1])).T) * MPP
    assert len(cells) == WHITES
    assert (away_um.min(axis=0) < NEAR_UM).all() and (away_um.min(axis=1) < NEAR_UM).all()


def test_its_size_and_its_box_are_the_drawn_ones(drawn, whole):
    for body in journal(*whole):
        cell = body["cell"]
        if cell["kind"] != "wbc":
            continue
        assert cell["area_um2"] == pytest.approx(np.pi * RADIUS_UM**2, rel=0.2)
        x0, y0, x1, y1 = cell["box_px0"]
        for side in (x1 - x0, y1 - y0):
            assert side * MPP == pytest.approx(2 * RADIUS_UM, rel=0.15)
        middle = (x0 + x1) / 2, (y0 + y1) / 2
        assert np.hypot(middle[0] - cell["x_px0"], middle[1] - cell["y_px0"]) * MPP < NEAR_UM


def test_events_and_store_have_the_places_of_the_journal(whole):
    lab, report = whole
    cells = {body["cell"]["cell_id"]: body["cell"] for body in journal(lab, report)}
    for kind in ("cells", "alerts"):
        told = {data["cell_id"]: data for data in events_of(lab, kind) if "cell_id" in data}
        assert told.keys() == cells.keys(), kind
        for name, data in told.items():
            for field in ("x_px0", "y_px0", "box_px0"):
                assert data[field] == cells[name][field], (kind, field)
    store = SlideStore.open(store_path(lab.folder, report.slide.slide_id))
    ids = [bytes(row).hex() for row in store.read("cell_id")]
    for name, centre, box in zip(
        ids, store.read("centre_px0").tolist(), store.read("box_px0").tolist(), strict=True
    ):
        assert centre == [cells[name]["x_px0"], cells[name]["y_px0"]]
        assert box == cells[name]["box_px0"]
    assert len({tuple(cell["box_px0"]) for cell in cells.values()}) == len(cells)


def test_the_alerts_of_a_slide_are_counted_as_they_were_sent(whole):
    lab, report = whole
    sent = [data for data in events_of(lab, "alerts") if data.get("cell_id")]
    assert report.progress.alerts == len(sent) == report.counts.total() >= WHITES
    assert events_of(lab, "slides")[-1]["progress"]["alerts"] == len(sent)


def test_a_run_that_goes_on_remembers_the_anomalies_of_before(drawn, whole, tmp_path):
    stops = iter(range(3))

    def stop_now(*_):
        if next(stops, None) == 2:
            raise KeyboardInterrupt

    first = lab_in(tmp_path, config=settings(anomalies_per_slide=2), on_progress=stop_now)
    with pytest.raises(KeyboardInterrupt):
        run_slide(first, drawn[0])
    slide_id = open_slide(drawn[0]).slide_id
    assert 0 < first.outbox.facts(slide_id)["odd"] < len(journal(*whole))
    report = run_slide(replace(first, on_progress=lambda *_: None), drawn[0])
    assert first.outbox.facts(slide_id)["odd"] == len(journal(*whole))
    (alert,) = [data for data in events_of(first, "alerts") if data["rule"] == "anomalies"]
    assert alert["score"] == len(journal(*whole)) == report.progress.alerts


def test_a_process_that_was_taken_over_writes_nothing_more(drawn, tmp_path):
    left = []

    def taken_over(slide, *_):
        if not left:
            with lab.outbox.exclusive() as db:
                sql = "UPDATE leases SET owner = 'another' WHERE name = :name"
                assert db.change(sql, name=slide_lease(slide)) == 1
            left.append(contents(lab, slide.slide_id))

    lab = lab_in(tmp_path, config=settings(), on_progress=taken_over)
    with pytest.raises(LeaseLostError):
        run_slide(lab, drawn[0])
    slide_id = open_slide(drawn[0]).slide_id
    assert contents(lab, slide_id) == left[0]
    assert lab.outbox.leases.holder(f"slide {slide_id}") == "another"


def contents(lab, slide_id):
    events = [to_line(record.event) for record in lab.outbox.events()]
    return events, lab.outbox.cell_ids(slide_id), lab.outbox.tiles_done(slide_id)


def test_no_password_of_the_broker_is_written_into_the_results(drawn, tmp_path):
    secret = "hunter2-hunter2"
    account = {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "lab",
        "sasl_plain_password": secret,
    }
    config = settings().model_copy(update={"kafka": Kafka(security=account)})
    lab = lab_in(tmp_path / "store", config=config)
    report = run_slide(lab, drawn[0])
    facts = SlideStore.open(store_path(lab.folder, report.slide.slide_id)).facts
    assert facts["config"]["kafka"]["bootstrap"] == config.kafka.bootstrap
    lab.outbox.close()
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert len(files) > 5 and not [f for f in files if secret.encode() in f.read_bytes()]


class TroubledTiles:
    """Workers that fail at some tiles, by the tile's corner."""

    def __init__(self, workers, errors):
        self.workers, self.call, self.count = workers, workers.call, workers.count
        self.call_here, self.everywhere, self.errors = workers.call_here, workers.everywhere, errors

    def each(self, function, items, limit_s):
        def maybe(spec):
            if error := self.errors.get((spec.x_px0, spec.y_px0)):
                raise error
            return function(spec)

        return self.workers.each(maybe, items, limit_s)


AWAY = CytostreamError("the cluster lost a worker", "it is tried again")
BAD = SlideError("cannot decode", "scan it again")


@pytest.mark.parametrize(
    ("errors", "again"),
    [([BAD], False), ([AWAY, BAD], True)],
)
def test_tiles_that_failed_in_passing_are_tried_again(drawn, whole, tmp_path, errors, again):
    corners = list(dict.fromkeys((x // 256 * 256, y // 256 * 256) for x, y in drawn[1]))
    lab = lab_in(tmp_path, config=settings())
    troubled = TroubledTiles(lab.workers, dict(zip(corners, errors, strict=False)))
    report = run_slide(replace(lab, workers=troubled), drawn[0])
    assert report.again == again and report.progress.failures == len(errors)
    slide_id = report.slide.slide_id
    assert lab.outbox.status(slide_id) == "failures"
    assert len(journal(lab, report)) < len(journal(*whole))
    second = run_slide(lab, drawn[0])  # the tiles can be read now
    assert (second.status, lab.outbox.status(slide_id)) == ("done", "done")
    labels = Counter(body["verdict"]["label"] for body in journal(*whole))
    assert second.counts == labels and not second.again
