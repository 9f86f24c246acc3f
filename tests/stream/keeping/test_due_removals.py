"""Which parts of which slides are due, and what is done for each, with a library that answers from
here.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from stream.config import RetentionSettings
from stream.identity import Claim, Identity, Order
from stream.keeping import apply_retention, due_removals, patient, retention
from stream.keeping.patient import PatientSlide, remove_patient, slides_of_patient
from stream.keeping.retention import Removal, remove_part
from tests.approved import approved
from tests.recorded import Named, Recorded

SIGNED = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    return Recorded(monkeypatch)


def signature(day, number=7):
    return SimpleNamespace(at=SIGNED + timedelta(days=day), number=number)


def standing(*signatures, locked=True, identified=None):
    return SimpleNamespace(signatures=signatures, locked=locked, identified=identified)


STANDINGS = {
    "signed": standing(signature(-9), signature(0)),
    "amended": standing(signature(0), locked=False),
    "run": standing(),
    "unfinished": standing(),
    "without a time": standing(),
}


@pytest.fixture
def library(recorded, monkeypatch):
    outbox = Named("outbox", slide_ids=lambda: list(STANDINGS))
    outbox.status = lambda slide_id: "running" if slide_id == "unfinished" else "done"
    outbox.facts = lambda slide_id: {} if slide_id == "without a time" else {"at": str(SIGNED)}
    monkeypatch.setattr(retention, "standing_of", lambda library, slide_id: STANDINGS[slide_id])
    monkeypatch.setattr(retention, "_is_there", lambda library, slide_id, part: part != "identity")
    return Named("library", outbox=outbox, store=Path("st"), config=SimpleNamespace(source="lab"))


def test_what_is_due(library):
    lines = []
    for days, rules in (
        (30, {"pixels_days": 30, "results_days": 60}),
        (31, {"pixels_days": 30, "results_days": 60}),
        (61, {"pixels_days": 30.5, "results_days": 60, "identities_days": 1}),
        (61, {"pixels_days": 30, "signed_only": False}),
        (61, {"results_days": 0}),
    ):
        due = due_removals(library, RetentionSettings(**rules), SIGNED + timedelta(days=days))
        lines.append(f"after {days} days, {rules}:")
        lines += [f"  {one.slide_id}, {one.part}, {one.since:%d}: {one.reason}" for one in due]
    approved(__file__, "due", "\n".join(lines))


def test_each_part_goes_after_its_entry(library, recorded, monkeypatch):
    library.trail = Named("trail", write=recorded.function("trail.write"))
    store = Named("store", drop=recorded.function("drop"))
    monkeypatch.setattr(
        retention.SlideStore, "open_to_change", recorded.function("open_to_change", store)
    )
    for name in ("remove_marked_crops", "remove_stated", "remove_results"):
        recorded.put(retention, name)
    recorded.put(retention, "store_path", lambda store, slide_id: store / slide_id)
    recorded.put(retention, "remove_slide", "removed rows")
    index = Named("index", remove=recorded.function("index.remove"))
    recorded.put(retention, "LikenessIndex", index)
    library.outbox.transaction = None
    forget = recorded.function("forget_claims")
    recorded.context(library.outbox, "transaction", Named("tx", forget_claims=forget))
    for part in ("pixels", "results", "identity"):
        removal = Removal("s1", part, SIGNED, f"why {part}")
        removed = remove_part(library, removal, "ben", "stamp")
        recorded.lines.append(f"-> {removed}")
    recorded.put(retention, "remove_part")
    parts = [Removal("s1", part, SIGNED, "") for part in ("pixels", "identity", "results")]
    assert apply_retention(library, parts, "ben", "stamp") == 2
    lines = [line.replace(str(SIGNED), "then") for line in recorded.lines]
    approved(__file__, "parts", "\n".join(lines))


def test_a_part_that_is_there(monkeypatch):
    monkeypatch.undo()
    stated, claims, kept = set(), {}, set()

    class Library:
        store = Path("st")
        trail = SimpleNamespace(stated=lambda number: number in stated)
        outbox = SimpleNamespace(claims=lambda slide_id: claims.get(slide_id, []))

        def __contains__(self, slide_id):
            return slide_id == "s1"

    def is_there(part, slide_id="s1"):
        return retention._is_there(Library(), slide_id, part)

    with pytest.MonkeyPatch.context() as patch:
        found = standing(signature(0, 7), identified=SimpleNamespace(number=9))
        patch.setattr(retention, "standing_of", lambda *_: found)
        assert is_there("results") and not is_there("results", "s2")
        assert not is_there("identity")
        for number in (7, 9):
            stated = {number}
            assert is_there("identity")
        stated = {8}
        assert not is_there("identity")
        claims["s1"] = ["claim"]
        assert is_there("identity")
        claims.clear()
        found = standing()
        assert not is_there("identity")
        folder = SimpleNamespace(is_dir=lambda: bool(kept))
        patch.setattr(retention, "store_path", lambda store, slide_id: folder)
        store = SimpleNamespace(has=lambda name: name in kept)
        patch.setattr(retention.SlideStore, "open", lambda path: store)
        assert not is_there("pixels")
        for name in ("crop", "labels", "reds/crop"):
            kept = {name}
            assert is_there("pixels")
        kept = {"probability"}
        assert not is_there("pixels")


def test_the_slides_of_a_patient(recorded, monkeypatch):
    anna, ben = Identity(patient_id="P1"), Identity(patient_id="P2")
    specimens = {
        "hers": (anna, [], []),
        "another's": (ben, [Claim("slide", ben)], [Order(ben)]),
        "claimed": (ben, [Claim("slide", ben), Claim("name", anna)], []),
        "in question": (Identity(), [], [Order(ben), Order(anna)]),
        "signed for her": (ben, [], []),
        "signed for another": (anna, [], []),
        "signed for nobody": (anna, [], []),
    }
    stated = {7: anna, 8: ben}
    signatures = {"signed for her": 7, "signed for another": 8, "signed for nobody": 9}

    def standing_of(library, slide_id):
        number = signatures.get(slide_id)
        return standing(*([signature(0, number)] if number else []), locked=bool(number))

    monkeypatch.setattr(patient, "standing_of", standing_of)

    def specimen(slide_id, _):
        identity, claims, candidates = specimens[slide_id]
        return SimpleNamespace(identity=identity, claims=claims, candidates=candidates)

    library = Named("library", specimen=specimen)
    library.outbox = SimpleNamespace(slide_ids=lambda: list(specimens))
    library.trail = SimpleNamespace(stated=stated.get)
    found = {one.slide_id: one.is_sure for one in slides_of_patient(library, "P1")}
    assert found == {
        "hers": True,
        "claimed": False,
        "in question": False,
        "signed for her": True,
        "signed for nobody": True,
    }


def test_a_patient_is_removed_slide_by_slide(recorded, monkeypatch):
    outbox = Named("outbox")
    outbox.facts = {"s1": {"slide": {"path": "/b.svs"}}, "s2": {}}.get
    library = Named("library", outbox=outbox, store=Path("st"))
    library.config = SimpleNamespace(source="lab")
    answers = iter([SimpleNamespace(paths=["/a.svs", "/b.svs"]), None])
    removed = recorded.function("remove_part", lambda *_: next(answers))
    monkeypatch.setattr(
        patient,
        "remove_part",
        lambda library, one, by, stamp: removed(
            one.slide_id, one.part, one.reason, by, stamp.source
        ),
    )
    recorded.put(patient, "remove_orders")
    slides = [PatientSlide(name, Identity(), True) for name in ("s1", "s2")]
    paths = remove_patient(library, slides, "P1", "ben", "asked")
    assert paths == ["/a.svs", "/b.svs"]
    assert recorded.lines == [
        "remove_part('s1', 'results', 'asked', 'ben', 'lab')",
        "remove_part('s2', 'results', 'asked', 'ben', 'lab')",
        "remove_orders(st/state.db, 'P1')",
    ]
