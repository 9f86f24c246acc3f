"""The laboratory's background: signed slides, each as it was signed last."""

from collections import Counter

import pytest

from stream.review.audit_trail import Trail, TrailEntry
from stream.review.signed_counts import counted_under, signed_slides
from stream.store import Outbox
from tests.stores import STAMP

FACTS = {"model_id": "m", "counts": {"blast": 1, "lymphocyte": 9}, "counted": {"hairy-cell": 2}}


@pytest.fixture
def store(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    with Outbox(store / "state.db") as outbox, outbox.transaction() as tx:
        tx.set_status("a", "done", **FACTS, taught_ids="t1")
        tx.set_status("b", "done", **FACTS)
        tx.set_status("of another model", "done", **{**FACTS, "model_id": "n"})
        tx.set_status("not signed", "done", **FACTS)
    with Trail(store, tmp_path / "custody") as trail:
        for slide_id in ("a", "b", "of another model"):
            for blasts in (3, 0):
                entry = TrailEntry("sign", {"counts": {"blast": blasts}, "upto_row": 1})
                trail.write(slide_id, "ada", [entry], STAMP)
    return store


def test_each_signed_slide_of_the_model_stands_as_it_was_signed_last(store):
    found = signed_slides(store, "m", store.parent / "custody", "t1")
    assert [(one.machine, one.signed) for one in found] == [
        (Counter(FACTS["counts"]), Counter({"blast": 0}))
    ] * 2
    assert [one.counted for one in found] == [Counter({"hairy-cell": 2}), Counter()]
    assert len(signed_slides(store, "m", store.parent / "custody", last=2)) == 1


def test_what_was_counted_by_probability_holds_under_the_same_taught_classes_alone():
    facts = {**FACTS, "taught_ids": "t1"}
    assert counted_under(facts, "t1") == {"hairy-cell": 2}
    assert counted_under(facts, "t2") == counted_under({}, "") == Counter()


def test_a_store_that_nobody_has_reviewed_has_none(tmp_path):
    assert signed_slides(tmp_path, "m") == []
