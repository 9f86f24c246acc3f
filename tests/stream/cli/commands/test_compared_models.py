"""`models` and `shadow`: what is said of models and of how two compare, whole."""

import importlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from ingest import CytostreamError
from stream.cli.commands.model import models, shadow
from stream.review.models import ModelFacts
from stream.review.models.shadow_differences import AgreementWithPeople, AlertChange, ShadowReport
from tests.approved import approved
from tests.recorded import Named


def hold(name, recorded, folder):
    approved(__file__, name, "\n".join(recorded.lines), folder=folder)


def change(number, **given):
    plain = {"gained": {}, "lost": {}, "slide_gained": (), "slide_lost": ()}
    return AlertChange(f"slide-{number}", 100 + number, number, **{**plain, **given})


def report(slides, decided=0):
    confusion = Counter({("a", "a"): 90, ("a", "b"): 6, ("b", "a"): 4})
    confusion |= Counter({("c", f"d{number}"): 1 for number in range(25)})
    people = AgreementWithPeople(decided, counted=8, shadow=7, counted_alone=2, shadow_alone=1)
    return ShadowReport(
        "m2",
        "spring",
        Counter({"m1": 2, "m0": 1}),
        125,
        confusion,
        Counter({("A", "A"): 123, ("A", "B"): 2}),
        slides,
        people,
    )


def test_two_models_are_compared(recorded, capsys, tmp_path):
    many = [change(number, gained={"anomaly": number + 1}) for number in range(23)]
    more = change(30, lost={"anomaly": 2, "rare": 1}, slide_gained=("excess",), slide_lost=("x",))
    for one in (report([change(1), more, *many], 9), report([change(1)]), ShadowReport("m", "n")):
        shadow.show_report(one)
    recorded.lines += capsys.readouterr().err.splitlines()
    hold("shadow_report", recorded, tmp_path)


def test_slides_are_judged_by_a_second_model(recorded, typed, tmp_path, monkeypatch):
    (tmp_path / "st").mkdir()
    states = {"s1": "done", "s2": "failed", "s3": "done", "s4": "done"}
    outbox = Named("outbox", slide_ids=lambda: list(states), status=states.get)
    ats = {"s1": {"at": "2026-01-01"}, "s3": {"at": "2026-02-01"}, "s4": {}}
    outbox.facts = ats.get
    recorded.context(shadow, "open_station", Named("station", outbox=outbox))
    recorded.put(shadow, "shadow_model", Named("second"))
    recorded.put(shadow, "require_store")

    def judged(second, outbox, store, slide_id, rules, tries):
        if slide_id == "s3":
            raise CytostreamError("its crops are gone", "run it anew")
        return slide_id == "s1"

    recorded.put(shadow, "judge_again", judged)
    known = [Named("found 1", model_id="m2"), Named("found 2", model_id="m3")]
    known[1].name = "spring"
    review = importlib.import_module("stream.review")
    compared = importlib.import_module("stream.review.models")
    library = Named("library")
    recorded.context(review, "SlideLibrary", library)
    recorded.monkeypatch.setattr(review, "custody_folder", lambda folder: "custody")
    recorded.put(compared, "shadows_of", known)
    recorded.put(compared, "compare_shadow", lambda *_, **__: ShadowReport("m2", "found 1"))
    recorded.put(compared, "report_facts", {"cells": 1})
    web = importlib.import_module("stream.review.web")
    recorded.put(web, "shadow_page", "<html>")
    typed("shadow", "st")
    typed("shadow", "st", "--judge", "spring", "--slides", 2, "--cells", 7, "--engine", "openvino")
    typed(
        "shadow", "st", "--judge", "spring", "--model", "m2", "--out", "p.html", "--json", "p.json"
    )
    recorded.lines += [repr(Path(name).read_text()) for name in ("p.html", "p.json")]
    typed("shadow", "st", "--model", "winter", code=1)
    recorded.put(compared, "shadows_of", [])
    typed("shadow", "st", code=1)
    hold("shadow", recorded, tmp_path)


def test_the_models_of_a_store(recorded, typed, tmp_path, monkeypatch):
    (tmp_path / "st").mkdir()
    plain = ModelFacts(name="a", kind="white", model_id="m1")
    marks = {"is_in_use": True}, {"was_before": True, "is_shadow": True}, {"fault": "bad"}
    lines = [plain, *(replace(plain, **one) for one in marks)]
    compared = importlib.import_module("stream.review.models")
    recorded.put(compared, "list_models", lines)
    library = Named("library", names=lambda: ["spring"])
    library.find = recorded.function("find", lambda name: Path(name))
    recorded.put(models, "models_in", lambda store: library)
    typed("models", "list", "--store", "st")
    typed("models", "list", "--store", "st", "--json")
    check = Named("check", engine="openvino", precision="f16", inputs=9, difference=1.25e-3)
    check.compared_with = "the reference"

    def verified(folder, engine):
        if folder.name == "red":
            raise CytostreamError("altered", "import it again")
        return check

    recorded.put(models, "verify_model", verified)
    typed("models", "verify", "--store", "st", code=1)
    typed("models", "verify", "white", "spring", "--engine", "openvino", "--store", "st")
    recorded.put(models, "require_store")
    library.add = recorded.function("library.add", Path("spring"))
    recorded.put(models, "read_card", Named("card", model_id="m9", classes=("a", "b")))
    recorded.put(models, "kind_of", "white")
    (tmp_path / "new.zip").touch()
    typed("models", "import", "new.zip", "--store", "st")
    typed("models", "import", "new.zip", "--store", "st", "--name", "spring")
    hold("models", recorded, tmp_path)


def test_a_model_is_chosen(recorded, typed, tmp_path, monkeypatch):
    (tmp_path / "st").mkdir()
    used = Named("spring", model_id="m9")
    choice = SimpleNamespace(
        models=SimpleNamespace(find=recorded.function("find", Path("found"))),
        use=recorded.function("use", used),
        back=recorded.function("back", used),
    )
    recorded.put(models, "require_store")
    recorded.put(models, "load_model")
    review = importlib.import_module("stream.review")
    recorded.context(review, "SlideLibrary", Named("library"))
    recorded.put(review, "custody_folder", "custody")
    recorded.put(importlib.import_module("stream.review.models"), "ChosenModel", choice)
    recorded.put(importlib.import_module("stream.review.web"), "local_name", "ada")
    typed("models", "use", "spring", "--store", "st")
    typed("models", "use", "spring", "--store", "st", "--by", "Dr. B")
    typed("models", "back", "--store", "st")
    typed("models", "back", "--store", "st", "--kind", "red", "--by", "Dr. B")
    with pytest.raises(typer.BadParameter, match="white or red") as refused:
        models.go_back("blue")
    assert refused.value.param_hint == "--kind"
    hold("models_used", recorded, tmp_path)
