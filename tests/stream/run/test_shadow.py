"""A second model beside the one that counts: the same cells, nothing mixed, no slide harmed; and
the model of new slides changed meanwhile.
"""

import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from ingest import CytostreamError, open_workers
from stream.alerts import SlideTests
from stream.config import Alerts, Config, Reading, RedCells
from stream.events.event import Provenance
from stream.run.context import OtherWorkError, RunContext
from stream.run.pipeline import begun_version, opened_slide, run_slide
from stream.run.shadow import ShadowJudge, ShadowModel, is_compared, judge_again
from stream.store import SlideStore, read_shadow, shadow_ids, shadow_tries
from stream.store.outbox import Outbox
from stream.store.places import store_path
from tests.make import BrightnessEngine, smear, tiny_model

RULES = Alerts(classes=[{"label": "light", "above": 0.1}])


def second_model():
    """One that calls more cells light."""
    model = tiny_model()
    card = model.card.model_copy(update={"sha256": {"denoiser.onnx": "1" * 64}})
    return replace(model, card=card, bias=np.array([-30, 30, 0], np.float32))


def shadow_parts(engine=None):
    tests = SlideTests((), {}, {})
    return ShadowModel("second", second_model(), engine or BrightnessEngine(), tests)


def lab_in(folder, model=None, **changes):
    folder.mkdir(exist_ok=True)
    model = model or tiny_model()
    with open_workers(0) as workers:
        settings = Config(reading=Reading(tile_px=256), red_cells=RedCells(judged=0), alerts=RULES)
        lab = RunContext(
            settings,
            model,
            BrightnessEngine(),
            workers,
            Outbox(folder / "state.db"),
            folder,
            Provenance("test", model.model_id, "config", {}),
        )
        return replace(lab, **changes)


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "smear.tiff"
    smear(path, side_px=420, whites=3)
    return path


def store_of(lab, slide_id):
    return SlideStore.open(store_path(lab.folder, slide_id))


def told(lab):
    """The events, without what differs between two runs of the same."""
    return [(one.event.type, one.event.subject, one.event.data) for one in lab.outbox.events()]


@pytest.fixture(scope="module")
def both(slide_file, tmp_path_factory):
    """A run with a second model beside it, one without, and one with the second model alone."""
    folder = tmp_path_factory.mktemp("runs")
    faults = []
    beside = lab_in(folder / "beside", shadow=ShadowJudge(shadow_parts, faults.append))
    plain = lab_in(folder / "plain")
    alone = lab_in(folder / "alone", second_model())
    outcomes = [run_slide(lab, slide_file) for lab in (beside, plain, alone)]
    assert faults == []
    return beside, plain, alone, outcomes[0].slide.slide_id


def test_the_second_model_says_what_a_run_with_it_says(both):
    beside, _, alone, slide_id = both
    model_id = second_model().model_id
    assert shadow_ids(store_of(beside, slide_id)) == [model_id]
    found = read_shadow(store_of(beside, slide_id), model_id)
    store = store_of(alone, slide_id)
    for name in ("label", "probability", "anomaly", "draws"):
        assert np.array_equal(found.columns[name], store.read(name)), name
    raised = {
        (one.event.data["cell_id"], one.event.data["rule"])
        for one in alone.outbox.events(slide_id, types=("cytostream.alert.v1",))
    }
    ids = [bytes(row).hex() for row in store.read("cell_id")]
    rules = found.facts["rules"]
    assert raised == {(ids[row], rules[rule]) for row, rule in np.argwhere(found.columns["alerts"])}
    assert raised and found.facts["counted_model_id"] == tiny_model().model_id


def test_nothing_of_it_is_among_results_or_events(both):
    beside, plain, _, slide_id = both
    counted = [store_of(lab, slide_id) for lab in (beside, plain)]
    names = [sorted(name for name, _ in store.group.arrays()) for store in counted]
    assert names[0] == names[1] and counted[0].rows == counted[1].rows
    for name in names[0]:
        assert np.array_equal(*(store.read(name) for store in counted)), name
    assert second_model().model_id not in json.dumps([str(one) for one in told(beside)])
    cells = [[data for kind, _, data in told(lab) if "cell" in kind] for lab in (beside, plain)]
    assert cells[0] == cells[1]
    differ = read_shadow(counted[0], second_model().model_id).columns["label"]
    assert (differ != counted[0].read("label")).any()


@pytest.fixture
def done(both, tmp_path):
    """Opens a copy of the store of the run without a second model, which is done."""
    _, plain, _, _ = both
    shutil.copytree(plain.folder, tmp_path / "store")
    return partial(lab_in, tmp_path / "store")


class Broken(BrightnessEngine):
    def errors(self, images, noise, sigma):
        raise RuntimeError("out of memory")


@pytest.mark.parametrize("fault", ["opening", "judging", "a model of other crops"])
def test_a_fault_of_it_harms_no_slide_and_is_said_once(both, done, slide_file, fault):
    _, plain, _, slide_id = both

    def open_it():
        if fault == "opening":
            raise CytostreamError("no such model", "")
        if fault == "judging":
            return shadow_parts(Broken())
        card = second_model().card.model_copy(update={"window_px": 999})
        return replace(shadow_parts(), model=replace(second_model(), card=card))

    faults = []
    lab = done(shadow=ShadowJudge(open_it, faults.append))
    for _ in range(2):
        outcome = run_slide(lab, slide_file)
        assert outcome.status == "done before" and not outcome.again
    assert len(faults) == 1 and [kind for kind, *_ in told(lab)] == [
        kind for kind, *_ in told(plain)
    ]
    assert shadow_ids(store_of(lab, slide_id)) == []


def test_a_model_that_ends_the_process_is_not_tried_for_ever(slide_file, done):
    class Ending(BrightnessEngine):
        def errors(self, images, noise, sigma):
            raise KeyboardInterrupt

    lab = done(shadow=ShadowJudge(lambda: shadow_parts(Ending()), pytest.fail))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_slide(lab, slide_file)
    outcome = run_slide(lab, slide_file)
    store = store_of(lab, outcome.slide.slide_id)
    assert outcome.status == "done before" and shadow_tries(store, second_model().model_id) == 2
    # a person may ask for it all the same
    asked = partial(judge_again, shadow_parts(), lab.outbox, lab.folder, outcome.slide.slide_id)
    assert asked(RULES, most_tries=99)
    assert not asked(RULES, most_tries=99)  # once


def test_the_model_that_counts_is_no_second_one(both):
    _, _, alone, slide_id = both
    assert not judge_again(shadow_parts(), alone.outbox, alone.folder, slide_id, RULES)
    assert "shadow" not in store_of(alone, slide_id).group


@pytest.mark.parametrize(
    ("rule", "compared"),
    [("excess blast", True), ("range monocyte", True), ("drift", False), ("many-anomaly", False)],
)
def test_only_rules_on_the_white_cells_of_one_slide_are_compared(rule, compared):
    assert is_compared(rule) is compared


def switched(lab, model_ids):
    """The run after a person has chosen the second model; those of `model_ids` were in use."""

    def with_model(context, model_id):
        assert model_id == tiny_model().model_id
        stamp = replace(context.stamp, model_hash=model_id)
        return replace(context, model=tiny_model(), stamp=stamp)

    model = second_model()
    return replace(
        lab,
        model=model,
        stamp=replace(lab.stamp, model_hash=model.model_id),
        was_in_use=model_ids.__contains__,
        with_model=with_model,
    )


def test_a_slide_that_is_read_keeps_its_model(slide_file, done):
    lab = done()
    before = told(lab)
    with pytest.raises(OtherWorkError):
        begun_version(switched(lab, ()), opened_slide(lab, slide_file))
    outcome = run_slide(switched(lab, {tiny_model().model_id}), slide_file)
    assert outcome.status == "done before" and told(lab) == before


def test_a_slide_that_was_begun_goes_on_with_its_model(both, slide_file, tmp_path):
    _, plain, _, slide_id = both

    def stop_now(_, progress, __):
        if progress.cells:
            raise KeyboardInterrupt

    lab = lab_in(tmp_path / "store", on_progress=stop_now)
    with pytest.raises(KeyboardInterrupt):
        run_slide(lab, slide_file)
    assert lab.outbox.status(slide_id) == "interrupted"
    lab = replace(lab, on_progress=lambda *_: None)
    outcome = run_slide(switched(lab, {tiny_model().model_id}), slide_file)
    assert outcome.status == "done"
    facts = store_of(lab, slide_id).facts
    assert facts["model_id"] == tiny_model().model_id
    counts = [dict(one.outbox.facts(slide_id)["counts"]) for one in (lab, plain)]
    assert counts[0] == counts[1]
