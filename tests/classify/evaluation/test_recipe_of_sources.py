"""An evaluation whose recipe has several sources and finer classes than its sets."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from classify.evaluation.contender import Arm, log_priors, of_parents  # noqa: E402
from classify.evaluation.contenders import recipe_without  # noqa: E402
from classify.evaluation.scoring import Scores, search_scores  # noqa: E402
from classify.model_card import ClassEntry  # noqa: E402
from classify.training import TrainConfig  # noqa: E402

PARENTS = {"band": "neutrophil", "segmented": "neutrophil", "erythroblast": "erythroblast"}


def recipe(**changes) -> TrainConfig:
    labels = {"n/BNE": "band", "n/SNE": "segmented", "erythroblast": "erythroblast"}
    source = {"folder": "home", "laboratory": "home", "labels": labels}
    values = {"val": "val", "taxonomy": PARENTS, "sources": [source]}
    return TrainConfig(**values | {"groups": {"nucleated": tuple(PARENTS)}} | changes)


def test_a_recipe_without_a_parent_knows_none_of_its_classes():
    left = recipe_without(recipe(), "neutrophil")
    assert tuple(left.taxonomy) == ("erythroblast",)
    assert left.sources[0].labels == {"erythroblast": "erythroblast"}
    assert left.sources[0].label_of(Path("home/n/BNE_1.png")) is None
    assert left.groups == {"nucleated": ("erythroblast",)}


def test_a_recipe_of_one_folder_stays_as_it_is():
    plain = TrainConfig(train="home", val="val")
    assert recipe_without(plain, "erythroblast") is plain


def test_an_arm_of_finer_classes_is_compared_at_their_parents():
    def judge(raw):
        return Scores(raw, {"energy": raw[:, 0]})

    arm = Arm(tuple(PARENTS), lambda x: x, lambda x: x, judge, lambda raw: judge, Path("none"))
    merged = of_parents(arm, recipe().taxonomy)
    finer = np.array([[0.3, 0.3, 0.4], [0.1, 0.1, 0.8]])
    assert merged.classes == ("neutrophil", "erythroblast")
    np.testing.assert_allclose(merged.judge(finer).probability, [[0.6, 0.4], [0.2, 0.8]])
    assert merged.adapted(finer)(finer).predicted.tolist() == [0, 1]
    assert merged.judge(finer).odd["energy"].tolist() == [0.3, 0.1]


def test_a_class_is_searched_for_with_what_it_shades_into_left_out():
    taxonomy = {
        "blast": ClassEntry(parent="blast", normal=False, beside=("promyelocyte",)),
        "promyelocyte": ClassEntry(parent="ig"),
        "monocyte": ClassEntry(parent="monocyte"),
    }
    cells = np.array([[0.1, 0.8, 0.1], [0.1, 0.0, 0.9], [0.0, 1.0, 0.0]])
    found = search_scores(cells, tuple(taxonomy), taxonomy)
    np.testing.assert_allclose(found["search for blast"], [0.5, 0.1, 0.0])


def test_both_arms_have_the_priors_of_the_taxonomy():
    rare = {"band": {"parent": "neutrophil", "prior": 0.5}, "erythroblast": "erythroblast"}
    found = log_priors(recipe(taxonomy=rare, sources=()), ("band", "erythroblast", "other"))
    np.testing.assert_allclose(found, [np.log(0.5), 0, 0])
