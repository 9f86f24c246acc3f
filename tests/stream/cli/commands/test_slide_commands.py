"""The commands about slides alone: what they call, show and write, with small answers in the place
of slow ones.
"""

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from classify import read_card, read_sheet
from ingest import CytostreamError, Slide, SmearMap, SmearZone
from stream.cli.commands import demo, doctor, simulate
from stream.cli.commands import slide as slides
from stream.cli.commands.bench import locate as bench
from tests.approved import approved

SLIDE = Slide("s1", Path("/scans/a.svs"), 4000, 3000, 0.25, (), "generic", "unknown", "image")


def cell(number, kind="wbc", box=(100, 100, 140, 141)):
    area = 90.126 + number
    place = {"x_px0": 120 + number, "y_px0": 119}
    return SimpleNamespace(kind=kind, box_px0=box, area_um2=area, cell_id=f"c{number}", **place)


def taken(recorded):
    """A writer of smears that keeps their plans."""
    plans = []

    def write(out, smear, show):
        plans.append(smear)
        show(1, 2)
        return 17

    recorded.monkeypatch.setattr(simulate, "write_synthetic", write)
    return plans


def plan_of(smear):
    layers = [
        (one.label, one.light.shape, None if one.cover is None else one.cover, one.apart_um)
        for one in smear.whites[:3]
    ]
    light = np.stack([one.light.mean(axis=(1, 2)) for one in smear.whites])
    names = [name for name in vars(smear) if name not in ("whites", "look")]
    figures = {name: getattr(smear, name) for name in names}
    return {"layers": layers, "light": light, "look": vars_of(smear.look), **figures}


def vars_of(look):
    return {name: getattr(look, name) for name in look.__dataclass_fields__}


def test_the_plan_of_a_smear(recorded, typed, golden):
    plans = taken(recorded)
    typed("simulate", "a.tiff", "--mpp", 0.5)
    words = "--width-px", 600, "--height-px", 700, "--mpp", 1.0, "--stain", "giemsa"
    more = "--whites-per-mm2", 7, "--reds", 2, "--scratches", 3, "--blurred", 0.25, "--seed", 9
    typed("simulate", "b.tiff", *words, *more)
    plain = [plan_of(one) for one in plans]
    typed("simulate", "c.tiff", "--stain", "none", code=1)
    typed("simulate", "c.tiff", "--per-100", "blast=5", code=1)
    labels = [one.label for one in plans[1].whites]
    golden("simulate", {"plans": plain, "labels": labels}, rel=1e-4, least=1e-4)
    approved(__file__, "simulate", "\n".join(recorded.lines))


def test_the_plan_of_a_smear_of_real_cells(recorded, typed, golden, tmp_path):
    for number, name in enumerate(("blast", "monocyte", "neutrophil")):
        for cell_number in range(2):
            crop = np.full((128, 128, 3), (244, 238, 228), np.uint8)
            crop[30:90, 40:90] = (40 + 60 * number, 90, 120 + 10 * cell_number)
            path = tmp_path / "cells" / name / f"{cell_number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(crop).save(path)
    plans = taken(recorded)
    typed("simulate", "a.tiff", "--cells", "cells", "--whites", 12, "--per-100", "blast=25")
    typed("simulate", "b.tiff", "--cells", "cells", "--mpp", 0.5, "--seed", 2)
    plain = [plan_of(one) for one in plans]
    images = [[Path(one.image).parent.name for one in plan.whites] for plan in plans]
    counts = [{name: row.count(name) for name in row} for row in images]
    golden("simulate_cells", {"plans": plain, "counts": counts}, rel=1e-4, least=1e-4)
    (tmp_path / "cells" / "monocyte" / "0.png").write_bytes(b"none")
    typed("simulate", "c.tiff", "--cells", "cells", "--whites", 50, code=1)
    refused = recorded.lines[-1]
    assert refused.startswith("DataError: cells/monocyte/0.png: ")
    assert refused.endswith("\n  -> remove it, or replace it")


@pytest.fixture
def small_demo(recorded, monkeypatch):
    """A demo slide of three classes with two cells each."""
    card = SimpleNamespace(counted=("blast", "monocyte"), window_um=27.0)
    sheet = read_sheet(len(read_card(demo.SHIPPED).counted) + 1)[:3, :2]
    monkeypatch.setattr("classify.load_model", recorded.function("load_model", Model(card)))
    monkeypatch.setattr(demo, "read_sheet", lambda rows: sheet[:rows])
    pictures = []

    def written(path, canvas, mpp):
        pictures.append((path.name, canvas, mpp))

    monkeypatch.setattr(demo, "write_pyramid", written)
    return pictures


class Model(SimpleNamespace):
    def __init__(self, card):
        super().__init__(card=card)

    def __repr__(self):
        return "<model>"


def test_the_slide_of_the_demo(small_demo, golden, tmp_path):
    path, placed = demo.make_slide(tmp_path / "d.tiff")
    ((name, canvas, mpp),) = small_demo
    assert path == tmp_path / "d.tiff" and name == "d.tiff"
    at = placed[3]
    px = slice(at.y_px0 - 8, at.y_px0 + 8), slice(at.x_px0 - 8, at.x_px0 + 8)
    sprites = demo.red_cell_sprites(np.random.default_rng(1), 400, 500)
    figures = {
        "placed": placed,
        "mpp": mpp,
        "canvas": canvas,
        "cell": canvas[px],
        "sprite": demo.sprite(np.full((64, 64, 3), 120, np.uint8), at, 27.0),
        "reds": [(one.x_px, one.y_px) for one in sprites[::8]] + [len(sprites)],
    }
    golden("demo_slide", figures, rel=1e-4, least=1e-4)


class Running:
    """In the place of a broker and of a page."""

    bootstrap = "127.0.0.1:9999"

    def __init__(self, lines):
        self.lines = lines

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.append("the broker ends")


def test_the_demo_runs_and_shows_what_came_back(small_demo, recorded, typed, tmp_path, monkeypatch):
    def event(kind, number, **data):
        return SimpleNamespace(id=f"e{number % 40}", kind=kind, data=data, number=number)

    cells = [
        event("cells", 1, label="blast", x_px0=153, y_px0=256),
        event("cells", 2, label="monocyte", x_px0=410, y_px0=256 + 31),
        event("cells", 3, label="blast", x_px0=153 + 200, y_px0=576),
        event("cells", 4, label="monocyte", x_px0=153 - 32, y_px0=576),
        event("cells", 5, label="monocyte", x_px0=409, y_px0=576 - 33),
    ]
    alerts = [event("alerts", number) for number in range(10, 24)]
    others = [event("slides", 30), event("failures", 41), event("reviews", 50)]
    events = [*cells, *alerts, *others]
    monkeypatch.setattr(demo, "Broker", lambda: Running(recorded.lines))
    monkeypatch.setattr(demo, "sentence", lambda one: f"{one.kind} {one.number}")
    recorded.put(demo, "read_all", lambda kafka: iter(events))
    recorded.put(demo, "run_slides")
    recorded.put(demo, "serve_page")
    load = demo.load_config

    def load_config(path):
        recorded.lines.append(path.read_text())
        settings = load(path)
        kafka = settings.kafka.bootstrap, settings.kafka.read_back, settings.alerts.anomaly_above
        recorded.lines.append(f"settings {kafka}")
        return SimpleNamespace(kafka="<kafka>")

    monkeypatch.setattr(demo, "load_config", load_config)
    typed("demo", "--out", "new/demo")
    (tmp_path / "new/demo/results-1").mkdir()
    typed("demo", "--out", "new/demo", "--serve")
    typed("demo", "--out", "new/demo", "--keep")
    approved(__file__, "demo", "\n".join(recorded.lines), folder=tmp_path, model=demo.SHIPPED)


class Pool:
    """Workers that answer with what they were given."""

    count = 2

    def __init__(self, lines, answers):
        self.lines, self.answers = lines, answers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lines.append("the workers end")

    def call(self, function, slide, limit_s):
        self.lines.append(f"call {shown(function)}({slide.slide_id}) within {limit_s} s")
        return SimpleNamespace(looked_at="everywhere", cells_in="cells_in")

    def each(self, function, specs, limit_s):
        self.lines.append(f"each {shown(function)} of {len(list(specs))} within {limit_s} s")
        return iter(self.answers)


def shown(function):
    if isinstance(function, partial):
        given = [str(one) for one in function.args if isinstance(one, str)]
        return f"{function.func.__name__}{given}{function.keywords}"
    return getattr(function, "__name__", function)


def test_cells_are_located(recorded, typed, tmp_path, monkeypatch):
    answers = [
        (SimpleNamespace(box_px0=(0, 0, 9, 9)), CytostreamError("no pixels", "scan it again")),
        None,
        (
            SimpleNamespace(box_px0=(9, 0, 9, 9)),
            SimpleNamespace(
                unread=["tile 3"],
                cells=[
                    cell(1),
                    cell(2, "platelet", (0, 10, 20, 20)),
                    cell(3, "wbc", (3970, 10, 3999, 20)),
                    cell(4, "wbc", (30, 2970, 60, 2999)),
                    cell(5, "wbc", (30, 1, 60, 40)),
                    cell(6, "wbc", (2, 2, 3998, 2998)),
                    cell(7, "wbc", (30, 30, 4000, 60)),
                    cell(8, "wbc", (30, 30, 60, 3000)),
                ],
            ),
        ),
    ]
    pool = Pool(recorded.lines, answers)
    recorded.put(slides, "open_workers", lambda *_: pool)
    recorded.put(slides, "open_slide_on", lambda *_: SLIDE)
    recorded.put(slides, "plan_tiles", lambda slide, looked_at, tile_px: [1, 2, 3])
    words = "--mpp", 0.3, "--mpp-override", 0.25, "--workers", 3, "--tile-px", 512
    Path("a.svs").touch()
    typed("locate", "a.svs", "--json", "-", "--workers", 2)
    kinds = "--kind", "wbc", "--kind", "platelet"
    typed("locate", "a.svs", *words, "--area", "battlement", *kinds)
    typed("locate", "a.svs", "--kind", "red", code=1)
    approved(__file__, "locate", "\n".join(recorded.lines), folder=tmp_path)


def test_the_map_of_a_smear_is_drawn(recorded, typed, tmp_path, monkeypatch):
    ground = np.repeat(np.array(list(SmearZone)), 8).reshape(5, 8)
    found = SmearMap(ground, np.zeros(ground.shape), 500.0, 0.5)
    small = np.full((50, 80, 3), 200, np.uint8)

    class Workers(Pool):
        def call(self, function, slide, limit_s):
            super().call(function, slide, limit_s)
            return found, small

    pool = Workers(recorded.lines, [])
    monkeypatch.setattr(SmearMap, "problems", lambda self: ["too thick", "blurred"])
    recorded.put(slides, "open_workers", lambda *_: pool)
    recorded.put(slides, "open_slide_on", lambda *_: SLIDE)
    Path("a.svs").touch()
    typed("map", "a.svs", "--workers", 2)
    typed("map", "a.svs", "--out", "b.png", "--mpp", 0.3, "--workers", 4, "--mpp-override", 0.2)
    typed("map", "a.svs", "--out", "b.none", "--workers", 0, code=1)
    typed("map", "a.svs", "--out", "none/b.png", code=1)
    for name in ("a.map.png", "b.png"):
        with Image.open(tmp_path / name) as picture:
            recorded.lines.append(f"{name}: {picture.size}")
    recorded.put(slides, "map_smear")
    recorded.put(slides, "survey_slide", "survey")
    recorded.put(slides, "thumbnail")
    slides.look_at_smear(SLIDE)
    approved(__file__, "map", "\n".join(recorded.lines), folder=tmp_path)


@pytest.fixture
def machine(recorded, monkeypatch, tmp_path):
    """Whatever `doctor` looks at, in order."""
    clock = iter(np.arange(0, 99, 0.5))
    card = SimpleNamespace(name="tiny", classes=("a", "b"), sigmas=(0.5,) * 3, image_px=16)
    model = Model(card)
    engine = SimpleNamespace(name="fake", version="1", precision="f32", batch=4)
    engine.errors = recorded.function("errors")
    recorded.put(doctor, "load_model", model)
    recorded.put(doctor, "open_engine", lambda *_: engine)
    recorded.put(doctor, "openslide_version", "4.0.1")
    recorded.put(doctor, "open_to_others", lambda store: iter(()))
    monkeypatch.setattr(doctor, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(doctor, "sys", SimpleNamespace(version="3.12.1 (main)"))
    usage = SimpleNamespace(free=5_000_000_000)
    monkeypatch.setattr(
        doctor, "shutil", SimpleNamespace(disk_usage=recorded.function("disk_usage", usage))
    )
    names = recorded.function("topic_names", lambda kafka: ["cells", "alerts"])
    monkeypatch.setattr("stream.kafka.topic_names", names)
    monkeypatch.setattr(doctor, "load_config", lambda path: SimpleNamespace(kafka=Kafka()))
    return SimpleNamespace(usage=usage, put=recorded.put)


class Kafka(SimpleNamespace):
    def __init__(self):
        super().__init__(bootstrap="broker:9092")

    def __repr__(self):
        return "<kafka>"


def test_what_works_on_a_machine(machine, recorded, typed, tmp_path, monkeypatch):
    def no_broker(kafka):
        raise CytostreamError("no broker at broker:9092", "start one")

    typed("doctor", "--store", "none")
    (tmp_path / "store").mkdir()
    typed("doctor", "--store", "store", "--json", "--model", "red")
    monkeypatch.setattr("stream.kafka.topic_names", no_broker)
    typed("doctor", "--store", "store")
    machine.usage.free -= 60_000_000
    machine.put(doctor, "openslide_version", "4.0.0")
    machine.put(doctor, "open_to_others", lambda store: iter([store / "a", store / "b"]))
    typed("doctor", "--store", "store", code=1)
    for version, is_old in (("3.9.9", True), ("4.0.2", False), ("4.1.0", False), ("10.0.0", False)):
        machine.put(doctor, "openslide_version", version)
        recorded.lines.append(f"{version}: {doctor.find('slide reader', doctor.reader)}")
        assert doctor.find("", doctor.reader).ok != is_old
    names = {"folder": tmp_path, "model": doctor.SHIPPED}
    approved(__file__, "doctor", "\n".join(recorded.lines), **names)


def report_of(cells, took_s=0.5, peak=3_000_000):
    return bench.Agreement(cells, took_s, 1, peak)


def test_scans_are_timed(recorded, typed, tmp_path, monkeypatch):
    ours = [("wbc", 100, 100), ("wbc", 500, 500), ("platelet", 40, 40)]
    answers = [
        (1, report_of(ours[:2], 0.25)),
        None,
        (2, CytostreamError("no pixels", "")),
        (3, report_of(ours[2:], 0.75, 5_000_000)),
        (4, report_of([], 2.0, 1)),
    ]
    clock = iter([0, 4, 10, 12, 20, 23, 30, 35, 50, 70, 100, 101, 110, 112, 200, 204, 300, 308])
    monkeypatch.setattr(bench, "perf_counter", lambda: float(next(clock)))
    usage = SimpleNamespace(ru_maxrss=123_456)
    recorded.monkeypatch.setattr(
        bench, "resource", SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: usage)
    )
    pool = Pool(recorded.lines, answers)
    recorded.put(bench, "open_workers", lambda *_: pool)
    recorded.put(bench, "open_slide", lambda *_: SLIDE)
    recorded.put(bench, "plan_tiles", lambda *_: [1, 2, 3])
    Path("a.svs").touch()
    typed("bench", "locate", "a.svs", "--json", "r.json", "--workers", 2)
    recorded.lines.append(json.dumps(json.loads(Path("r.json").read_text()), indent=1))
    words = "--kind", "rbc", "--no-plain", "--runs", 2, "--workers", 0, "--tile-px", 512
    typed("bench", "locate", "a.svs", *words, "--mpp", 0.3)
    approved(__file__, "bench_locate", "\n".join(recorded.lines), folder=tmp_path)


def test_what_a_worker_says_of_a_tile(recorded, monkeypatch):
    clock = iter([1.0, 3.5])
    monkeypatch.setattr(bench, "perf_counter", lambda: next(clock))
    usage = SimpleNamespace(ru_maxrss=1000)
    monkeypatch.setattr(
        bench, "resource", SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: usage)
    )
    monkeypatch.setattr(bench, "os", SimpleNamespace(getpid=lambda: 77))
    scan = SimpleNamespace(cells_in=lambda spec: SimpleNamespace(cells=[cell(1), cell(2)]))
    found = bench.timed(scan, None)
    places = [("wbc", 121, 119), ("wbc", 122, 119)]
    assert found == bench.Agreement(places, 2.5, 77, 1_024_000)
    assert bench.warm(3) == len(bench.AREAS)
    none = bench.TimedRow(2.0, 3, 3, [], [], 0).figures(SLIDE)
    assert none == {
        "seconds": 2.0,
        "mpx_per_s": 6.0,
        "s_per_gpx": 2.0 / 12e6 * 1e9,
        "tiles": 3,
        "tiles_failed": 3,
        "tile_ms_median": 0.0,
        "tile_ms_longest": 0.0,
        "worker_peak_mb": 0.0,
    }


def test_cells_of_two_scans_are_the_same_up_to_three_micrometres():
    def share(ours, plain):
        return bench.agreement_of(np.array(ours, float), np.array(plain, float))

    assert share([[0, 0]], [[0, 3.0]]) == 1
    assert share([[0, 0]], [[0, 3.01]]) == 0
    assert share([[0, 0], [9, 9]], [[0, 1]]) == 2 / 3
    assert share([[0, 0], [1, 0]], [[0.4, 0]]) == 2 / 3  # each other's nearest
    assert bench.agreement([("wbc", 0, 0)], [("wbc", 0, 10)], 0.25) == {"wbc": 1}
    assert bench.agreement([("wbc", 0, 0)], [("wbc", 0, 13)], 0.25) == {"wbc": 0}
    assert share([[0, 0]], np.zeros((0, 2))) == share(np.zeros((0, 2)), [[0, 0]]) == 0.0
