"""The main path on small smears: real slides, real segmentation, real outbox and store; a fake
engine.
"""

import json
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from ingest import (
    ClusterLostError,
    SerialWorkers,
    SlideAwayError,
    SlideError,
    battlement,
    map_smear,
    open_slide,
    open_workers,
    read_facts,
    survey_slide,
)
from ingest.synthetic import Layer, Synthetic, write_synthetic
from ingest.synthetic.sprites import write_pyramid
from ingest.workers.limits import ended_error
from stream.cli.app import app
from stream.config import Config, Reading, RedCells
from stream.events.event import Provenance
from stream.review.images.outlines import Shapes
from stream.run.context import RunContext
from stream.run.pipeline import run_slide
from stream.run.red_cells import RedJudge
from stream.run.worker import work
from stream.store.backlog import Backlog, Job
from stream.store.outbox import Outbox
from stream.store.places import store_path
from stream.store.slide_store import SlideStore
from tests.make import MPP, BrightnessEngine, smear, tiny_model, white_cell

WHITES = 7


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "smear.tiff"
    smear(path, side_px=1500, whites=WHITES)
    return path


def lab_in(folder, tile_px=512, **changes):
    folder.mkdir(exist_ok=True)
    with open_workers(0) as workers:
        config = Config(reading=Reading(tile_px=tile_px))
        stamp = Provenance("test", "model-1", f"config-{tile_px}", {})
        lab = RunContext(
            config,
            tiny_model(),
            BrightnessEngine(),
            workers,
            Outbox(folder / "state.db"),
            folder,
            stamp,
        )
        return replace(lab, **changes)


def cells_of(lab, slide_id):
    return {
        row.cell_id: json.loads(row.body)["verdict"]["label"] for row in lab.outbox.cells(slide_id)
    }


def events_of(lab):
    return [record.event for record in lab.outbox.events()]


@pytest.fixture(scope="module")
def reference(slide_file, tmp_path_factory):
    lab = lab_in(tmp_path_factory.mktemp("reference"))
    report = run_slide(lab, slide_file)
    return lab, report, cells_of(lab, report.slide.slide_id)


def test_every_white_cell_comes_out(reference):
    lab, report, cells = reference
    assert report.status == "done" and report.counts.total() == len(cells) >= WHITES
    centres = smear_centres(lab, report)
    assert len(centres) >= WHITES


def smear_centres(lab, report):
    return SlideStore.open(store_path(lab.folder, report.slide.slide_id)).read("centre_px0")


def test_store_journal_and_events_tell_the_same(reference):
    lab, report, cells = reference
    store = SlideStore.open(store_path(lab.folder, report.slide.slide_id))
    ids = [bytes(row).hex() for row in store.read("cell_id")]
    labels = [store.facts["classes"][n] for n in store.read("label")]
    assert dict(zip(ids, labels, strict=True)) == cells and store.rows == len(cells)
    told = {e.data["cell_id"]: e.data["label"] for e in events_of(lab) if e.kind == "cells"}
    assert told == cells
    statuses = [e.data["status"] for e in events_of(lab) if e.kind == "slides"]
    assert (
        list(dict.fromkeys(statuses)) == ["running", "done"] and statuses[-1] == "done"
    )  # a slow machine tells of progress
    assert (
        store.facts["model_id"] == "model-1" and store.facts["config"]["reading"]["tile_px"] == 512
    )
    assert all(row.crop is None for row in lab.outbox.cells(report.slide.slide_id))


def finished_store(reference):
    lab, report, _ = reference
    return SlideStore.open(store_path(lab.folder, report.slide.slide_id))


def test_the_store_is_an_image_as_ome_ngff_has_it(reference):
    """The same checks as those of ome-zarr-models, which a clean machine need not have."""
    group = finished_store(reference).group
    places = {"": ("crop", "t", "c", "y", "x"), "labels/cell": ("0", "t", "y", "x")}
    places |= {"labels/red": ("0", "t", "y", "x")} if "labels/red" in group else {}
    for place, (path, *names) in places.items():
        image = group[place] if place else group
        (scale,) = image.attrs["ome"]["multiscales"]
        assert [axis["name"] for axis in scale["axes"]] == names
        (level,) = scale["datasets"]
        array = image[level["path"]]
        assert level["path"] == path and array.metadata.dimension_names == tuple(names)
        (transform,) = level["coordinateTransformations"]
        assert len(transform["scale"]) == array.ndim == len(names)
    assert group["crop"].shape[1] == 3
    assert group["labels/cell"].attrs["ome"]["image-label"]["source"] == {"image": "../../"}


def test_the_store_passes_ome_zarr_models(reference):
    v05 = pytest.importorskip(
        "ome_zarr_models.v05", reason="pip install --no-deps ome-zarr-models==1.7 pydantic-zarr"
    )
    group = finished_store(reference).group
    image = v05.Image.from_zarr(group)
    assert [axis.name for axis in image.attributes.ome.multiscales[0].axes] == list("tcyx")
    for name in v05.Labels.from_zarr(group["labels"]).attributes.ome.labels:
        v05.ImageLabel.from_zarr(group[f"labels/{name}"])


def test_a_slide_of_ten_thousand_cells_is_under_a_hundred_files(reference):
    group = finished_store(reference).group
    found = dict(group.members(max_depth=None))
    arrays = {name: one for name, one in found.items() if hasattr(one, "shards")}
    assert {"crop", "features", "labels/cell/0", "probability"} <= set(arrays)
    by_cell = [one for name, one in arrays.items() if not name.startswith(("reds", "labels/red"))]
    files = 1 + len(found) + sum(-(-10_000 // one.shards[0]) for one in by_cell)
    files += len(arrays) - len(by_cell)  # those of red cells are a file each
    assert files < 100
    path = finished_store(reference).path
    assert sum(one.is_file() for one in path.rglob("*")) <= len(found) + 1 + len(arrays)


@pytest.mark.parametrize("tile_px", [256, 1024])
def test_the_same_cells_and_labels_whatever_the_tiles(slide_file, reference, tmp_path, tile_px):
    lab = lab_in(tmp_path, tile_px)
    report = run_slide(lab, slide_file)
    assert cells_of(lab, report.slide.slide_id) == reference[2]


def test_a_second_run_does_nothing(slide_file, reference):
    lab, first, _ = reference
    before = len(events_of(lab))
    again = run_slide(lab, slide_file)
    assert (
        again.status == "done before"
        and again.counts == first.counts
        and len(events_of(lab)) == before
    )


def test_an_interrupted_run_goes_on_where_it_stopped(slide_file, reference, tmp_path):
    stops = iter(range(3))

    def stop_now(*_):
        if next(stops, None) == 2:
            raise KeyboardInterrupt

    lab = lab_in(tmp_path, on_progress=stop_now)
    with pytest.raises(KeyboardInterrupt):
        run_slide(lab, slide_file)
    slide_id = open_slide(slide_file).slide_id
    assert lab.outbox.status(slide_id) == "interrupted"
    assert 0 < len(lab.outbox.tiles_done(slide_id)) < 9
    report = run_slide(replace(lab, on_progress=lambda *_: None), slide_file)
    assert cells_of(lab, slide_id) == reference[2] and report.counts == Counter(
        reference[2].values()
    )
    told = [e.data["cell_id"] for e in events_of(lab) if e.kind == "cells"]
    assert sorted(told) == sorted(reference[2])
    assert len(smear_centres(lab, report)) == len(reference[2])


def test_another_model_does_not_mix_in(slide_file, tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    lab = lab_in(tmp_path, on_progress=stop)
    with pytest.raises(KeyboardInterrupt):
        run_slide(lab, slide_file)
    other = replace(
        lab, stamp=replace(lab.stamp, model_hash="model-2"), on_progress=lambda *_: None
    )
    refused = run_slide(other, slide_file)
    assert (
        "another model_id" in refused.failure.what
        and "--again" in refused.failure.hint
        and not refused.damaged
    )
    slide_id = open_slide(slide_file).slide_id
    assert lab.outbox.status(slide_id) == "interrupted"
    anew = run_slide(replace(other, again=True), slide_file)
    assert (anew.status, anew.slide.slide_id) == ("done", f"{slide_id}-2")
    assert run_slide(other, slide_file).status == "done before"
    assert lab.outbox.status(slide_id) == "interrupted"


def test_a_scale_that_differs_in_the_eighth_digit_is_the_same(slide_file, tmp_path):
    lab = lab_in(tmp_path)
    first = run_slide(lab, slide_file)
    nearly = run_slide(lab, slide_file, first.slide.mpp * (1 + 3e-8))
    assert (nearly.status, nearly.slide.mpp) == ("done before", first.slide.mpp)
    reading = lab.config.reading.model_copy(update={"mpp_override": 0.3})
    config = lab.config.model_copy(update={"reading": reading})
    assert "another" in run_slide(replace(lab, config=config), slide_file).failure.what


def test_a_slide_that_changes_while_it_is_read_is_put_off(slide_file, tmp_path):
    path = tmp_path / "slide.tiff"
    path.write_bytes(slide_file.read_bytes())

    def grow(*_):
        path.write_bytes(slide_file.read_bytes() + b"more")

    with pytest.raises(SlideAwayError, match="changed"):
        run_slide(lab_in(tmp_path / "store", on_progress=grow), path)


class BlindWorkers(SerialWorkers):
    """A cluster of which one worker sees another file at the path."""

    def everywhere(self, function, item):
        return {"tls://one:1": function(item), "tls://two:2": "another"}


def test_a_slide_that_one_worker_does_not_see_waits_and_is_no_failure(slide_file, tmp_path):
    lab = lab_in(tmp_path)
    with pytest.raises(SlideAwayError, match="tls://two:2"):
        run_slide(replace(lab, workers=BlindWorkers()), slide_file)
    assert events_of(lab) == []
    assert run_slide(lab, slide_file).status == "done"


class LostWorkers:
    """A cluster whose scheduler goes when it is asked for something."""

    def __init__(self, at):
        self.at, self.workers = at, SerialWorkers()

    def __getattr__(self, name):
        if name == self.at:
            raise ClusterLostError("the Dask cluster failed", "start it again")
        return getattr(self.workers, name)


@pytest.mark.parametrize("at", ["call_here", "everywhere", "call", "each"])
def test_a_slide_whose_cluster_is_lost_waits_and_is_no_failure(slide_file, tmp_path, at):
    lab = replace(lab_in(tmp_path, tile_px=1500), workers=LostWorkers(at))
    backlog = Backlog(lab.outbox, lab.config.backlog)
    backlog.add([Job(slide_file)])
    with pytest.raises(ClusterLostError):
        work(lab, backlog, threading.Event())
    assert not [event for event in events_of(lab) if event.kind == "failures"]
    told = [event.data["status"] for event in events_of(lab) if event.kind == "slides"]
    assert told == (["running", "interrupted"] if at == "each" else [])
    (job,) = backlog.jobs()
    assert (job.state, job.tries, job.reason) == ("waiting", 0, None)


class OneBadTile:
    """Workers for whom the tile at a corner cannot be read."""

    def __init__(self, workers):
        self.workers, self.call, self.count = workers, workers.call, workers.count
        self.call_here = workers.call_here
        self.everywhere = workers.everywhere

    def each(self, function, items, limit_s):
        def maybe(spec):
            if (spec.x_px0, spec.y_px0) == (0, 0):
                raise SlideError("cannot decode", "scan it again")
            return function(spec)

        return self.workers.each(maybe, items, limit_s)


class HangingWorkers(SerialWorkers):
    """Workers whose decoder hangs on a file."""

    def call_here(self, function, item, limit_s):
        assert function is read_facts
        raise ended_error(limit_s)


def test_a_slide_that_hangs_a_decoder_is_given_up_and_tried_again(slide_file, tmp_path):
    lab = replace(lab_in(tmp_path), workers=HangingWorkers())
    report = run_slide(lab, slide_file)
    assert report.status == "failed" and report.again and not report.damaged
    assert report.failure.what == f"{slide_file}: reading it ended the worker, or took over 60 s"


def test_one_bad_tile_is_a_failure_event_and_the_rest_goes_on(slide_file, reference, tmp_path):
    lab = lab_in(tmp_path)
    report = run_slide(replace(lab, workers=OneBadTile(lab.workers)), slide_file)
    (failure,) = [e for e in events_of(lab) if e.kind == "failures"]
    assert (
        failure.data["stage"] == "tile"
        and failure.data["box_px0"] == [0, 0, 512, 512]
        and failure.data["hint"]
    )
    assert report.status == "done" and report.progress.failures == 1
    rest = cells_of(lab, report.slide.slide_id)
    assert rest.items() < reference[2].items()


def test_a_slide_with_damaged_tiles_on_disk(slide_file, reference, tmp_path):
    """The head of one compressed tile of level 0 is overwritten."""
    data = bytearray(slide_file.read_bytes())
    with tifffile.TiffFile(slide_file) as file:
        at = file.pages[0].dataoffsets[0]
    data[at : at + 400] = bytes(400)
    (tmp_path / "damaged.tiff").write_bytes(data)
    lab = lab_in(tmp_path / "out")
    report = run_slide(lab, tmp_path / "damaged.tiff")
    failures = [e for e in events_of(lab) if e.kind == "failures"]
    assert (
        report.status == "done"
        and 1 <= report.progress.failures == len(failures) < report.progress.tiles
    )
    boxes = [e.data["box_px0"] for e in failures]
    assert {tuple(box) for box in boxes} == {
        (0, 0, 256, 256)
    }  # the place itself, not the tiles that see it
    places = smear_places(reference[0], reference[1].slide.slide_id)
    far = {cell_xy for cell_xy in places if min(cell_xy) >= 256 + 18 / 0.25}
    assert far <= smear_places(lab, report.slide.slide_id) < places
    again = run_slide(lab, tmp_path / "damaged.tiff")
    assert again.progress == report.progress and len(
        [e for e in events_of(lab) if e.kind == "failures"]
    ) == len(failures)


def test_an_empty_slide_is_done_and_says_that_it_is_empty(tmp_path):
    write_pyramid(tmp_path / "white.tiff", np.full((900, 900, 3), 250, np.uint8), 0.25)
    lab = lab_in(tmp_path / "out")
    report = run_slide(lab, tmp_path / "white.tiff")
    assert report.status == "done" and not report.counts
    assert "nothing stained" in [e for e in events_of(lab) if e.kind == "failures"][0].data["what"]


@pytest.mark.parametrize("kind", ["text", "dark"])
def test_what_cannot_be_read_is_a_failure_event_without_its_name(tmp_path, kind):
    path = tmp_path / "Smith John 1970.tiff"
    if kind == "text":
        path.write_text("no slide")
    if kind == "dark":
        write_pyramid(path, np.full((600, 600, 3), 9, np.uint8), 0.25)
    lab = lab_in(tmp_path / "out")
    report = run_slide(lab, path)
    assert report.status == "failed" and report.failure.hint
    failure = [e for e in events_of(lab) if e.kind == "failures"][0]
    assert "Smith" not in json.dumps(failure.data) and failure.data["hint"]
    assert report.damaged == (kind == "text")


def one_white(mpp):
    rgb, alpha = white_cell(np.random.default_rng(0), mpp)
    return [Layer(1 - alpha[..., None] * (1 - rgb / np.float32(255)), "lymphocyte")]


def smear_places(lab, slide_id):
    return {
        (body["x_px0"], body["y_px0"])
        for row in lab.outbox.cells(slide_id)
        for body in [json.loads(row.body)["cell"]]
    }


def slide_events(lab):
    return [e.data for e in events_of(lab) if e.kind == "slides"]


def test_a_slide_that_is_not_fit_for_reading_says_why(tmp_path):
    write_synthetic(tmp_path / "s.tiff", Synthetic(3000, 2000, 0.25, one_white(0.25), blurred=0.9))
    lab = lab_in(tmp_path / "out")
    report = run_slide(lab, tmp_path / "s.tiff")
    assert any("out of focus" in problem for problem in report.unfit)
    assert [data["unfit"] for data in slide_events(lab)] == [list(report.unfit)] * 2
    assert run_slide(lab, tmp_path / "s.tiff").unfit == report.unfit
    assert lab.outbox.facts(report.slide.slide_id)["reason"] == "; ".join(report.unfit)


def test_the_counting_area_is_part_of_the_slide(tmp_path):
    write_synthetic(
        tmp_path / "s.tiff", Synthetic(3000, 1800, 0.5, one_white(0.5), thin=0.9, thick=1.1)
    )
    lab = replace(
        lab_in(tmp_path / "out"), config=Config(reading=Reading(tile_px=512, area="battlement"))
    )
    slide = open_slide(tmp_path / "s.tiff")
    seen = survey_slide(slide)
    path = replace(seen.smear, look=battlement(map_smear(slide, seen)))
    run_slide(lab, slide.path)
    found = smear_places(lab, slide.slide_id)
    assert (
        len(found) > 5
        and all(path.covers(*place) for place in found)
        and 0.1 < path.look.mean() < 0.6
    )
    assert all(data["unfit"] == [] for data in slide_events(lab))


def test_red_cells_are_measured_and_white_cells_outlined(tmp_path):
    write_synthetic(
        tmp_path / "s.tiff",
        Synthetic(2600, 2000, 0.25, one_white(0.25), thin=0.8, thick=1.0, whites_per_mm2=150),
    )
    lab = lab_in(tmp_path / "out")
    report = run_slide(lab, tmp_path / "s.tiff")
    told = slide_events(lab)[-1]["red_cells"]
    assert (
        told["fields"] >= 2
        and 5.5 < told["diameter_um"] < 8.5
        and 0.7 < told["roundness"] <= 1
        and 0 < told["pallor"] < 0.8
    )
    assert 4000 < told["per_mm2"] < 10000 and 2 < told["whites_per_1000"] < 60
    store = SlideStore.open(store_path(lab.folder, report.slide.slide_id))
    labels, boxes = store.read("labels/red/0"), store.read("reds/field_box_px0")
    counts = np.bincount(store.read("reds/field"), minlength=len(boxes))
    assert counts.sum() == told["cells"] and [part.max() for part in labels] == counts.tolist()
    cells, kinds = store.read("labels/cell/0"), store.read("kind")
    assert len(cells) == store.rows and set(np.unique(cells)) == {0, 1, 2}
    whites = cells[kinds == 0]
    assert ((whites == 2).sum((1, 2)) > 200).all() and (whites[:, 64, 64] == 2).mean() > 0.8
    assert store.group["labels"].attrs["ome"]["labels"] == ["cell", "red"]
    check_geojson(lab, report)


def red_judge() -> RedJudge:
    """Calls bright red cells spherocytes, others normal or `other`."""
    model = tiny_model()
    about = {
        "classes": ("other", "normal", "spherocyte"),
        "crop_um": 15.2,
        "crop_px": 80,
        "window_px": 80,
    }
    card = model.card.model_copy(update=about)
    return RedJudge(replace(model, card=card), BrightnessEngine())


def test_red_cells_are_judged_up_to_a_number_and_all_are_measured(tmp_path, slide_file):
    settings = Config(reading=Reading(tile_px=512), red_cells=RedCells(judged=40))
    lab = lab_in(tmp_path / "out", red=red_judge(), config=settings)
    report = run_slide(lab, slide_file)
    told = slide_events(lab)[-1]["red_cells"]
    store = SlideStore.open(store_path(lab.folder, report.slide.slide_id))
    labels = store.read("reds/label")
    assert len(labels) == told["cells"] > 40 >= (labels >= 0).sum() > 20
    assert store.facts["red_classes"] == ["other", "normal", "spherocyte"]
    assert told["judged"] == (labels > 0).sum()
    assert told["kinds"]["poikilocytosis"]["count"] == (labels == 2).sum()
    assert told["model_hash"] == lab.red.model.model_id
    assert told["platelets_per_litre"] is not None and told["platelet_clumps"] >= 0
    kinds = Counter(red.kind for red in Shapes(lab.folder, report.slide.slide_id, MPP).reds())
    assert 0 < kinds["spherocyte"] + kinds["normal"] <= told["judged"] and kinds[""] > 0
    assert report.red_cells == lab.outbox.facts(report.slide.slide_id)["red_cells"]


def check_geojson(lab, report):
    shapely = pytest.importorskip("shapely", reason="the test extra is not installed")
    out = lab.folder / "exported"
    words = ["export-results", "--store", str(lab.folder), "--out", str(out), "--form", "geojson"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    features = json.loads(next(out.glob("*.geojson")).read_text())["features"]
    reds = [f for f in features if f["properties"]["classification"]["name"] == "red cell"]
    whites = [f for f in features if f["properties"]["objectType"] == "cell"]
    assert len(reds) == report_reds(lab, report) and len(whites) > 15
    areas = np.array(
        [shapely.geometry.shape(feature["geometry"]).area * 0.25**2 for feature in reds]
    )
    measured = np.array([feature["properties"]["measurements"]["Area um^2"] for feature in reds])
    assert (np.abs(areas / measured - 1) < 0.15).mean() > 0.9 and np.median(
        areas / measured
    ) == pytest.approx(1, abs=0.05)
    bodies = {
        body["cell_id"]: body
        for row in lab.outbox.cells(report.slide.slide_id)
        for body in [json.loads(row.body)["cell"]]
    }
    for feature in whites:
        cell, nucleus = (
            shapely.geometry.shape(feature[name]) for name in ("geometry", "nucleusGeometry")
        )
        body = bodies[feature["properties"]["name"]]
        assert nucleus.area < cell.area and cell.exterior.is_ccw and nucleus.centroid.within(cell)
        assert (
            cell.centroid.distance(shapely.geometry.Point(body["x_px0"], body["y_px0"])) * 0.25
            < 1.5
        )
        assert cell.area * 0.25**2 == pytest.approx(body["area_um2"], rel=0.3)


def report_reds(lab, report):
    return lab.outbox.facts(report.slide.slide_id)["red_cells"]["cells"]
