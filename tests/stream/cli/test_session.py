"""What a run opens: the store, its sinks, models, workers and tests, each with what it is given."""

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest

from classify import SHIPPED, ModelError
from ingest import CytostreamError
from stream.cli import session
from stream.cli.options import ModelChoice, RunOptions
from stream.config import Config
from tests.approved import approved
from tests.recorded import Named, Recorded


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return Recorded(monkeypatch)


def hold(name, recorded):
    names = {"shipped": SHIPPED, "here": Path.cwd()}
    approved(__file__, name, "\n".join(recorded.lines), **names)


def model(crop_um=36.0, crop_px=128):
    classes = ("blast", "monocyte")
    card = SimpleNamespace(
        crop_um=crop_um, crop_px=crop_px, classes=classes, parent_of=lambda name: name[:2]
    )
    return Named("model", card=card, model_id="m1", noise=session.np.ones((3, 3, 4, 4)), sigma=[5])


def station(recorded, **settings):
    outbox = Named("outbox", secret="s", store_id="x")
    plain = Config(**settings)
    named = {one: getattr(plain, one) for one in Config.model_fields}
    config = Named("config", **named)
    return Named("station", config=config, store=Path("st"), outbox=outbox, backlog="backlog")


def test_a_station_has_a_store_and_its_sinks(recorded, monkeypatch):
    outbox = Named("outbox", store_id="x", prune=recorded.function("prune"))
    recorded.context(session, "open_outbox", outbox)
    recorded.put(session, "open_sink", lambda spec, *_: Named(f"sink {spec}"))
    recorded.context(session, "Relay", "a relay")
    recorded.put(session, "Backlog", "the backlog")
    config = station(recorded, kafka={"batch_events": 7}, store={"keep_days": 5}).config
    for sinks in (None, ["none"], ["jsonl:a", "none", "kafka"], []):
        with session.open_station(Path("st"), config, sinks) as opened:
            recorded.lines.append(f"{opened.store} {opened.relays} {opened.backlog}")
            assert opened.outbox is outbox and opened.config is config
    hold("station", recorded)


def test_a_store_is_made_with_its_limits(recorded, tmp_path):
    for name in ("make_private_folder", "use_server", "use_bucket", "Outbox"):
        recorded.put(session, name)
    session.open_outbox(Path("st"), Config())
    where = {"state": "postgresql://h/d", "results": "s3://b/r", "free_gb": 3, "waiting_gb": 2}
    session.open_outbox(Path("st"), Config(store=where, backlog={"lease_s": 99}))
    refused = OSError(13, "Permission denied")

    def refuse(_):
        raise refused

    recorded.put(session, "make_private_folder", refuse)
    with pytest.raises(CytostreamError) as told:
        session.open_outbox(Path("st"), Config())
    recorded.lines.append(f"{told.value.what} -> {told.value.hint}")
    with pytest.raises(CytostreamError) as told:
        session.require_store(Path("none"))
    recorded.lines.append(f"{told.value.what} -> {told.value.hint}")
    hold("outbox", recorded)


def test_the_context_of_a_run(recorded, monkeypatch):
    """Every field of the context, with the red-cell model and without."""
    loaded = model()
    recorded.put(session, "load_model", loaded)
    recorded.put(session, "checked_taught", "taught")
    recorded.put(session, "slide_tests", "tests")
    beside = Recorded(recorded.monkeypatch)  # the engine opens while the workers start
    beside.put(session, "open_warm_engine", Named("engine", precision="f16"))
    recorded.put(session, "open_red_judge", "red judge")
    recorded.context(session, "open_pool", "pool")
    board = Named("board", show=recorded.function("show"))
    recorded.context(session, "ProgressTable", board)
    recorded.put(session, "provenance_of", "stamp")
    recorded.put(session, "open_shadow", "shadow")
    models = Named("models", folder=Path("mine"), was_in_use="was", with_model="with")
    models.renewed = "renewed"
    recorded.put(session, "models_of", models)
    for judged, judge, again in ((True, "here", False), (False, "workers", True)):
        own = station(recorded, red_cells={"judged": 9 * judged}, reading={"judge": judge})
        with session.open_lab(own, RunOptions(again=again), {"a"}, quiet=again) as lab:
            for one in fields(lab):
                recorded.lines.append(f"{one.name}: {getattr(lab, one.name)!r}")
    lines = [line for line in recorded.lines if " at 0x" not in line]
    recorded.lines[:] = [*lines, *beside.lines]
    hold("lab", recorded)


def test_the_parts_of_another_model(recorded):
    for name in ("checked_taught", "slide_tests", "provenance_of", "judge_there"):
        recorded.put(session, name, name)
    recorded.put(session, "load_model", model())
    recorded.put(session, "open_warm_engine", "engine")
    recorded.put(session, "ModelLibrary", "library")
    recorded.put(session, "print_error")
    made = recorded.function("RunModels", lambda library, parts, fault, stated: (parts, fault))
    recorded.monkeypatch.setattr(session, "RunModels", made)
    choice = RunOptions(model=Path("white"), engine="openvino")
    open_parts, on_fault = session.models_of(station(recorded), choice)
    recorded.lines.append(repr(open_parts(Path("spring"))))
    on_fault(CytostreamError("no model", "import it"))
    hold("model_parts", recorded)


def test_a_model_for_other_crops_is_refused(recorded):
    for made in (model(), model(crop_um=30.0), model(crop_px=64)):
        recorded.put(session, "load_model", made)
        try:
            recorded.lines.append(repr(session.checked_for_slides(Path("mine"))))
        except ModelError as error:
            recorded.lines.append(f"{error.what} -> {error.hint}")
    hold("other_crops", recorded)


def test_taught_classes_and_tests_of_rare_ones(recorded):
    judge = Named("taught", classes=[Named("hairy"), Named("odd one")], taught_ids=("t1",))
    recorded.put(session, "check_rules")
    recorded.put(session, "TaughtJudge", lambda classes: judge)
    in_use = recorded.function("in_use", ["hairy"])
    recorded.put(session, "TaughtLibrary", lambda folder: Named("library", in_use=in_use))
    own = station(recorded)
    assert session.checked_taught(own, model()) is judge
    recorded.put(session, "rare_classes", ("rare",))
    recorded.put(session, "SlideTests", "slide tests")
    signed = recorded.function("signed_slides", "signed")
    recorded.monkeypatch.setattr("stream.review.signed_slides", signed)
    recorded.monkeypatch.setattr("stream.review.custody_folder", lambda folder: "custody")
    assert session.slide_tests(own, model(), judge) == "slide tests"
    hold("rare_tests", recorded)


def test_a_second_model_is_opened_where_one_is_named(recorded):
    recorded.put(session, "print_error")
    recorded.put(session, "ShadowJudge", lambda opened, fault: (opened, fault))
    recorded.put(session, "slide_tests", "tests")
    recorded.put(session, "open_warm_engine", "engine")
    recorded.put(session, "load_model", model())
    recorded.put(session, "ShadowModel")
    known = Named("library", names=lambda: ["spring"])
    known.find = recorded.function("find", lambda name: Path("models") / f"{Path(name).name}-1")
    recorded.put(session, "ModelLibrary", known)
    assert session.open_shadow(station(recorded), RunOptions()) is None
    for settings, choice in (
        ({"shadow": "spring"}, RunOptions()),
        ({"shadow": "spring"}, RunOptions(shadow="white", engine="openvino")),
        ({}, RunOptions(shadow="a/b")),
    ):
        opened, on_fault = session.open_shadow(station(recorded, **settings), choice)
        opened()
    on_fault("no model")
    hold("shadow", recorded)


def test_engines_and_judges(recorded, tmp_path):
    engine = Named("engine", precision="f16", errors=recorded.function("errors"))
    recorded.put(session, "load_model", model())
    recorded.put(session, "open_engine", lambda *_, **__: engine)
    session.open_model(ModelChoice(Path("red"), "openvino"), "f32")
    session.open_model(ModelChoice())
    session.open_warm_engine(model(), "auto")
    recorded.put(session, "RedJudge", "judge")
    used = recorded.function("folder_in_use", lambda kind: tmp_path / "used")
    find = recorded.function("find", lambda folder: folder)
    recorded.put(session, "ModelLibrary", Named("library", folder_in_use=used, find=find))
    for stated in (None, Path("red"), Path("mine")):
        choice = RunOptions(red_model=stated, engine="onnxruntime")
        recorded.lines.append(str(session.open_red_judge(choice, Path("st"))))
    recorded.put(session, "model_folder", tmp_path / "used")
    recorded.lines.append(str(session.open_red_judge(RunOptions(), Path("st"))))
    (tmp_path / "used").mkdir()
    recorded.lines.append(str(session.open_red_judge(RunOptions(), Path("st"))))
    for judge in ("here", "workers"):
        config = Config(reading={"judge": judge})
        opener = session.judge_there(config, Path("mine"), model(), engine)
        recorded.lines.append(repr(opener))
    hold("engines", recorded)


def test_the_workers_that_the_configuration_asks_for(recorded):
    recorded.put(session, "open_workers")
    session.open_pool(Config().reading)
    files = {"scheduler_ca": "ca", "scheduler_certificate": "cert", "scheduler_key": "key"}
    for name in files.values():
        Path(name).touch()
    reading = Config().reading.model_copy(
        update={
            "scheduler": "tls://h:8786",
            **files,
            "mounts": {"/a": "/b"},
            "workers": 5,
            "workers_most": 9,
            "dashboard": "127.0.0.1:8787",
            "insecure_scheduler": True,
        }
    )
    session.open_pool(reading)
    hold("workers", recorded)


def test_what_an_event_says_of_where_it_comes_from(recorded):
    """Its config hash is of what changes results, and of nothing else."""
    recorded.monkeypatch.setattr(session, "version", lambda name: f"version of {name}")
    for settings in (
        {},
        {"source": "lab", "share_names": True, "identity": {"in_events": "hashed"}},
        {"reading": {"area": "battlement"}},
        {"reading": {"tile_px": 512}},
        {"alerts": {"anomaly_above": 0.5}},
        {"reading": {"workers": 1}},
    ):
        stamp = session.provenance_of(Config(**settings), "m1", "secret")
        recorded.lines.append(f"{settings}: {stamp!r}")
    assert session.provenance_of(Config(), "m1").secret == ""
    hold("provenance", recorded)
