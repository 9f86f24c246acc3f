"""A class that is taught, figure by figure; what is said of lessons that will not do."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, stats

from classify import DataError
from classify.teaching import Lesson, TaughtJudge, review_order, teach_class
from classify.teaching.crossvalidation import (
    counting_point,
    exact_interval,
    expected_of,
    folds_of,
    held_out_evidence,
    leaves_some,
    loss_of,
    split_of,
)
from classify.teaching.head import fit_head, logistic, normalised
from classify.teaching.library import TaughtLibrary, taught_at
from classify.teaching.taught_class import check_lesson, platt_scale, rounded, warnings_of
from classify.teaching.verdicts import beside, next_best
from classify.verdict import Anomaly, Verdict
from tests.golden_figures import GoldenFile
from tests.make import tiny_model

FITTED = {"rel": 1e-5, "least": 1e-6}


def lesson(cells: int = 14, normal: int = 90, features: int = 12) -> Lesson:
    rng = np.random.default_rng(3)
    axis = rng.normal(size=features)
    found = rng.normal(size=(cells, features)) + 0.8 * axis
    rest = rng.normal(size=(normal, features))
    groups = tuple(f"p{n % 4}" for n in range(cells))
    return Lesson(found, rest, groups, tuple(f"p{n % 7}" for n in range(normal)))


def digests(given: Lesson) -> tuple[tuple[str, ...], tuple[str, ...]]:
    cells = tuple(f"c{n}" for n in range(len(given.cells)))
    return cells, tuple(f"n{n}" for n in range(len(given.normal)))


def test_a_taught_class_is_the_same_each_time(golden: GoldenFile) -> None:
    given = lesson()
    made = teach_class(tiny_model(), "hairy", given, digests(given), "name", by="A", note="b")
    kept = made.model_dump(exclude={"at"})
    by_cell = teach_class(tiny_model(), "x", lesson(6, 55), digests(lesson(6, 55)))
    found = held_out_evidence(given)
    head = fit_head(given.cells, given.normal, 0.1)
    figures = {
        "class": kept,
        "by cell": by_cell.model_dump(include={"expected", "counting", "patients", "warnings"}),
        "held out": [found.cells, found.normal, found.penalty, found.folds, found.by_patient],
        "auc": found.auc,
        "loss": loss_of(found),
        "scale": platt_scale(found),
        "expected": expected_of(found, 0.4, "name").model_dump(),
        "counting": counting_point(found, 0.01, 1.2, -0.3).model_dump(),
        "head": head,
        "evidence": head.evidence(given.cells[:4].astype(np.float16)),
        "log odds": made.log_odds(given.cells[:4]),
    }
    golden("taught", figures, **FITTED)


def test_the_head_is_that_of_least_loss() -> None:
    """Logistic loss, both sides weighing the same, and half the penalty of the weights' square."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(30, 4)) + np.repeat([[0.7], [0.0]], 15, axis=0)
    sign = np.repeat([1.0, -1.0], 15)
    share = np.full(30, 1 / 30)
    weights, intercept = logistic(x, sign, share, 0.2)

    def loss(free: np.ndarray) -> float:
        miss = np.log1p(np.exp(-sign * (x @ free[:-1] + free[-1])))
        return float(share @ miss + 0.1 * free[:-1] @ free[:-1])

    best = optimize.minimize(loss, np.zeros(5), tol=1e-12)
    np.testing.assert_allclose([*weights, intercept], best.x, atol=2e-4)
    wide = rng.normal(size=(6, 40))
    few = np.array([1.0, -1, 1, -1, 1, -1])
    weights, intercept = logistic(wide, few, np.full(6, 1 / 6), 0.1)
    miss = 1 / (1 + np.exp(few * (wide @ weights + intercept)))
    np.testing.assert_allclose(0.1 * weights, (few * miss / 6) @ wide, atol=1e-5)


def test_features_are_normalised_cell_by_cell() -> None:
    found = normalised(np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]]))
    np.testing.assert_allclose(found[0], [-1.2247449, 0, 1.2247449], rtol=1e-6)
    assert found[1].tolist() == [0, 0, 0]


def test_exact_intervals_are_clopper_and_pearsons() -> None:
    for hits, count in ((0, 20), (3, 20), (19, 20), (20, 20)):
        expected = stats.binomtest(hits, count).proportion_ci(method="exact")
        assert exact_interval(hits, count) == pytest.approx(tuple(expected), abs=6e-5)
    narrow = stats.binomtest(3, 20).proportion_ci(0.8, method="exact")
    assert exact_interval(3, 20, 0.8) == pytest.approx(tuple(narrow), abs=6e-5)


def test_patients_are_spread_over_folds() -> None:
    groups = ("a",) * 5 + ("b",) * 3 + ("c",) * 3 + ("d",) * 2 + ("e", "f", "g")
    found = folds_of(groups, ("a", "x", "y", "x", "z"))
    cells = {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "f": 4, "g": 3}
    assert {k: found[k] for k in cells} == cells
    assert {k: found[k] for k in "xyz"} == {"x": 0, "y": 1, "z": 2}
    split = split_of(("a", "b"), ("b", "a", "q"))
    assert split.cells.tolist() == [0, 1] and split.normal.tolist() == [1, 0, 0]
    assert leaves_some(split)
    assert not leaves_some(split_of(("a", "b"), ("b", "b")))
    assert not leaves_some(split_of(("a", "a"), ("b", "c")))


@pytest.mark.parametrize(
    ("cells", "normal", "what", "hint"),
    [
        (2, 90, "2 cells of the class are too few to teach from", "give 3 or more of them"),
        (14, 19, "19 normal cells are too few to teach from", "give 20 or more of them"),
    ],
)
def test_too_few_cells_teach_nothing(cells: int, normal: int, what: str, hint: str) -> None:
    given = lesson(cells, normal)
    with pytest.raises(DataError) as refused:
        check_lesson(given, digests(given))
    assert (refused.value.what, refused.value.hint) == (what, hint)
    check_lesson(lesson(3, 20), digests(lesson(3, 20)))
    both = (("a", "b", "c"), ("b", "c", "d"))
    with pytest.raises(DataError) as refused:
        check_lesson(lesson(), both)
    assert refused.value.what == "2 cells are among the class and among the normal cells"
    assert refused.value.hint == "take them out of one of the two"


def test_what_a_taught_class_is_warned_of(golden: GoldenFile) -> None:
    model = tiny_model()
    asked = [("x", 9, 3), ("x", 10, 3), ("x", 99, 0), ("x", 99, 2), ("dark", 5, 1)]
    golden("warnings", {str(one): warnings_of(model, *one) for one in asked})
    assert rounded(np.array([1 / 3, 12345678.9])) == (0.3333333, 12345680.0)


def verdict(label: str = "dark") -> Verdict:
    scores = {"dark": 0.6, "light": 0.3, "other": 0.1}
    return Verdict(
        label=label,
        scores=scores,
        anomaly=Anomaly(0.5, 0.1, 0.1, "made"),
        draws=1,
        decided=True,
        may_be=("dark", "light"),
        parents=scores,
        parent=label,
        parents_possible=("dark", "light"),
        features=np.zeros(12),
    )


def test_how_taught_odds_enter_a_verdict(golden: GoldenFile) -> None:
    given = lesson()
    made = teach_class(tiny_model(), "hairy", given, digests(given))
    base = made.model_copy(update={"weights": (0.0,) * 12, "intercept": 0.0, "slope": 1.0})
    figures = {}
    for name, log_odds in (("hairy", -9), ("hairy", -2.9), ("hairy", 0.4), ("hairy", 9)):
        taught = base.model_copy(update={"name": name, "offset": log_odds + 0.0})
        shift = taught.log_odds(np.zeros((1, 12)))[0] - log_odds
        taught = taught.model_copy(update={"offset": log_odds - shift})
        found = TaughtJudge([taught]).verdict(verdict())
        figures[f"{name} {log_odds}"] = {
            name: getattr(found, name)
            for name in (
                "label",
                "parent",
                "scores",
                "parents",
                "may_be",
                "parents_possible",
                "taught",
                "standard_label",
            )
        }
    again = base.model_copy(update={"name": "dark", "offset": -30.0})
    found = TaughtJudge([again]).verdict(verdict())
    figures["dark again"] = [found.label, found.parent, found.may_be, found.scores]
    golden("taught-verdicts", figures, rel=1e-4, least=1e-5)
    assert beside({"a": 0.0, "b": 1.0}, {"a": 1.0}) == {"a": 0.5, "b": 0.5}
    assert beside({"a": 0.0}, {"x": 3.0}) == {"a": 0.0, "x": 0.75}
    assert next_best({"a": 0.5, "b": 0.2, "c": 0.3}, {"a": 1.0}) == "c"
    without = replace(verdict(), features=None)
    assert TaughtJudge([base]).verdict(without) == without
    with pytest.raises(DataError) as refused:
        TaughtJudge([base, base])
    assert refused.value.what == "two taught classes of one name: hairy, hairy"
    assert refused.value.hint == "give one each"


def test_a_folder_of_taught_classes(tmp_path) -> None:
    given = lesson()
    library = TaughtLibrary(tmp_path / "taught")
    made = teach_class(tiny_model(), "hairy", given, digests(given))
    assert library.names() == () and library.versions() == []
    library.draft("smudge")
    library.add(made)
    library.add(made)
    library.add(made.model_copy(update={"name": "aba-b"}))
    assert library.names() == ("aba-b", "hairy", "smudge")
    assert [(one.name, one.version) for one in library.versions()] == [
        ("aba-b", 1),
        ("hairy", 1),
        ("hairy", 2),
    ]
    assert library.path_of(library.newest()["hairy"]).name == "hairy-2.taught.json"
    assert not library.is_disabled("hairy")
    library.switch("hairy", on=False)
    assert library.is_disabled("hairy")
    assert [one.name for one in library.in_use(tiny_model())] == ["aba-b"]
    for path, what, hint in (
        ("no", f"{library.folder}: no taught class no", "there are: aba-b, hairy"),
        ("", f"{library.folder}: no taught class ", "there are: aba-b, hairy"),
    ):
        with pytest.raises(DataError) as refused:
            library.switch(path, on=True)
        assert (refused.value.what, refused.value.hint) == (what, hint)
    with pytest.raises(DataError) as refused:
        TaughtLibrary(tmp_path / "empty").switch("x", on=True)
    assert refused.value.hint == "there are: none"
    with pytest.raises(DataError) as refused:
        library.draft("a/b")
    assert refused.value.what == "'a/b' is no name of a class"
    assert refused.value.hint == "letters, digits, - and _, as hairy-cell"
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError) as refused:
        taught_at(tmp_path / "none", tiny_model())
    assert refused.value.what == f"{tmp_path / 'none'}: no taught class here"
    assert refused.value.hint == "their names end in .taught.json"


def test_the_order_of_review(golden: GoldenFile) -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(30, 6)) + 4 * rng.normal(size=(5, 6))[np.arange(30) % 5]
    features[7, 2] = np.nan
    features[9] = features[4] * 2 + 1
    figures = {
        "all": review_order(features),
        "alerts": review_order(features, first=[7, 20, 7], count=6),
        "known": review_order(features, known=[0, 1, 2, 7], count=6),
        "only alerts": review_order(features, first=[3, 2, 1], count=2),
        "none": review_order(features[7:8]),
        "first alone": review_order(features[7:8], first=[0]),
    }
    golden("review-order", figures)
    same = review_order(features)
    assert not {4, 9} <= set(same), "of two alike only one is looked at"
    assert len(review_order(rng.normal(size=(260, 9)))) == 200
