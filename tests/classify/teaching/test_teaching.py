"""A class taught from features that are made here: two Gaussians, with a shift of its own for each
patient.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from classify import DataError, ModelError
from classify.teaching import (
    Lesson,
    TaughtJudge,
    TaughtLibrary,
    feature_digest,
    patients_of,
    read_taught,
    taught_at,
    teach_class,
    write_taught,
)
from classify.teaching.crossvalidation import exact_interval, folds_of
from classify.verdict import Anomaly, Verdict
from tests.make import tiny_model

FEATURES = 24
AXIS = np.random.default_rng(9).normal(size=FEATURES)


def made(count, of_class, seed, patients=4):
    """Features (n, F) and the patient of each."""
    rng = np.random.default_rng(seed)
    patient = rng.integers(patients, size=count)
    shift = rng.normal(size=(patients, FEATURES))
    features = rng.normal(size=(count, FEATURES)) + 0.3 * shift[patient] + of_class * AXIS
    return features.astype(np.float16), tuple(f"p{number}" for number in patient)


def lesson(cells=12, seed=0):
    found, groups = made(cells, True, seed)
    normal, normal_groups = made(200, False, seed + 1)
    return Lesson(found, normal, groups, normal_groups)


def named(count, word):
    return tuple(f"{word}{number}" for number in range(count))


def taught(name="hairy-cell", cells=12, seed=0, **about):
    given = lesson(cells, seed)
    digests = named(len(given.cells), "c"), named(len(given.normal), "n")
    return teach_class(tiny_model(), name, given, digests, "name", **about)


def verdict(features, label="dark"):
    scores = {"dark": 0.6, "light": 0.3, "other": 0.1}
    return Verdict(
        label=label,
        scores=scores,
        anomaly=Anomaly(0.5, 0.1, 0.1, "made"),
        draws=1,
        decided=True,
        may_be=(label,),
        parents=scores,
        parent=label,
        parents_possible=(label,),
        features=features,
    )


def test_held_out_figures_foretell_new_patients():
    one = taught()
    cells, _ = made(400, True, 100)
    normal, _ = made(2000, False, 101)
    found = one.log_odds(cells) > 0
    wrong = one.log_odds(normal) > 0
    low, high = one.expected.sensitivity_interval
    assert low - 0.05 <= found.mean() <= high + 0.05 and wrong.mean() < 0.02
    assert one.expected.auc > 0.97 and one.patients == 4


def test_what_cannot_be_learnt_is_not_promised():
    rng = np.random.default_rng(3)
    cells, normal = rng.normal(size=(2, 100, FEATURES))
    groups = tuple(f"p{number}" for number in range(100))
    nothing = Lesson(cells[:20], normal, groups[:20], groups)
    one = teach_class(tiny_model(), "x", nothing, (named(20, "c"), named(100, "n")), "name")
    assert 0.25 < one.expected.auc < 0.75 and one.expected.sensitivity < 0.3


def test_a_patient_is_in_one_fold_with_all_cells():
    fold_of = folds_of(("a", "a", "a", "b", "c"), ("a", "d", "e", "e"))
    assert set(fold_of) == {"a", "b", "c", "d", "e"} and len({fold_of[n] for n in "abc"}) == 3


@pytest.mark.parametrize("normal_patients", [("p1",), ("p2",), ("p1", "p2", "p3")])
def test_cells_of_one_patient_are_held_out_cell_by_cell(normal_patients):
    cells, _ = made(8, True, 0)
    normal, _ = made(60, False, 1)
    groups = tuple(normal_patients[number % len(normal_patients)] for number in range(60))
    given = Lesson(cells, normal, ("p1",) * 8, groups)
    one = teach_class(tiny_model(), "x", given, (named(8, "c"), named(60, "n")), "name")
    assert one.expected.by == "cell" and one.expected.folds == 5 and one.patients == 1
    assert any("1 patients" in warning for warning in one.warnings)


def test_patients_are_known_by_names_then_folders():
    at = Path("cells")
    names = [at / "p02-1.png", at / "p02-2.png", at / "p03_1.png"]
    assert patients_of(names, [at]) == (["p02", "p02", "p03"], "name")
    folders = [at / "anna/1.png", at / "anna/2.png", at / "ben/1.png"]
    assert patients_of(folders, [at]) == (["anna", "anna", "ben"], "folder")
    unknown = [at / "a.png", at / "b.png"]
    assert patients_of(unknown, [at])[1] == "cell"
    assert patients_of([at / "BL_1.png", at / "BL_2.png"], [at])[1] == "cell"


def test_a_taught_class_enters_the_probabilities_and_names_what_it_changed():
    one = taught()
    judge = TaughtJudge([one])
    (cell,), _ = made(1, True, 200)
    strong = one.model_copy(update={"offset": 30.0})
    changed = TaughtJudge([strong]).verdict(verdict(cell))
    assert (changed.label, changed.standard_label) == ("hairy-cell", "dark")
    assert changed.outcome == "hairy-cell" and changed.taught == ("hairy-cell",)
    (normal,), _ = made(1, False, 201)
    kept = judge.verdict(verdict(normal))
    assert (kept.label, kept.standard_label, kept.outcome) == ("dark", "dark", "dark")
    for one_verdict in (changed, kept):
        assert sum(one_verdict.scores.values()) == pytest.approx(1, abs=1e-5)
    assert kept.scores["dark"] / kept.scores["light"] == pytest.approx(2, rel=1e-3)
    assert TaughtJudge([]).verdict(verdict(normal)) == verdict(normal)


def test_a_class_of_the_model_taught_again_has_the_taught_odds_and_a_warning():
    one = taught("dark")
    assert any("class of the model" in warning for warning in one.warnings)
    (normal,), _ = made(1, False, 201)
    found = TaughtJudge([one]).verdict(verdict(normal))
    assert found.label == "light" and found.scores["dark"] < 0.05 and len(found.scores) == 3


def test_few_cells_and_patients_are_warned_of():
    assert any("few" in warning for warning in taught(cells=5).warnings)
    with pytest.raises(DataError, match="too few to teach"):
        taught(cells=2)


def test_a_cell_on_both_sides_is_refused():
    given = lesson()
    digests = named(12, "x"), named(200, "x")
    with pytest.raises(DataError, match="12 cells are among"):
        teach_class(tiny_model(), "x", given, digests)


def test_it_comes_back_from_its_file_and_holds_no_pixels(tmp_path):
    one = taught(by="Dr. A", note="from slide 3")
    write_taught(one, tmp_path / "one.json")
    assert read_taught(tmp_path / "one.json", tiny_model()) == one
    assert one.taught_id != taught(by="Dr. B").taught_id
    assert (tmp_path / "one.json").stat().st_size < 20_000


def test_another_models_features_are_refused(tmp_path):
    write_taught(taught(), tmp_path / "one.json")
    other = tiny_model(draws=3)
    other = replace(other, sigma=other.sigma * 2)
    assert feature_digest(other) != feature_digest(tiny_model())
    with pytest.raises(ModelError, match="features of another model"):
        read_taught(tmp_path / "one.json", other)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[" * 5000, '{"name": "x"}'])
def test_what_is_no_taught_class(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match="no taught class"):
        read_taught(tmp_path / "x.json")


def test_a_library_keeps_versions_and_can_disable(tmp_path):
    library = TaughtLibrary(tmp_path / "taught")
    assert library.add(taught()).version == 1
    assert library.add(taught(seed=5)).version == 2
    model = tiny_model()
    assert [one.version for one in library.in_use(model)] == [2] and len(library.versions()) == 2
    library.switch("hairy-cell", on=False)
    assert library.in_use(model) == []
    with pytest.raises(DataError, match="no taught class here"):
        taught_at(library.folder, model)
    library.switch("hairy-cell", on=True)
    assert [one.version for one in taught_at(library.folder, model)] == [2]
    with pytest.raises(DataError, match="no taught class y"):
        library.switch("y", on=True)


def test_intervals_are_exact():
    assert exact_interval(0, 20) == (0.0, 0.1684) and exact_interval(20, 20)[0] == 0.8316
