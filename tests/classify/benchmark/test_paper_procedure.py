"""The paper's procedure: its tests, what a pass costs, and that one pass a class and one for all
give the same errors.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from classify import load_model  # noqa: E402
from classify.benchmark.paper_procedure import FIRST, Procedure, steps, survivors  # noqa: E402

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def model():
    return load_model()


def test_the_first_test_comes_after_21_draws_then_every_5():
    assert steps(40) == [(0, 21), (21, 26), (26, 31), (31, 36), (36, 40)]


def test_a_class_that_is_plainly_worse_is_dropped_and_a_close_one_stays():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 1, (21, 1))
    errors = shared + np.array([0.0, 0.01, 1.0]) + rng.normal(0, 0.1, (21, 3))
    assert survivors(errors, np.arange(3)).tolist() == [0, 1]
    assert survivors(errors[:, [2, 1, 0]], np.arange(3)).tolist() == [1, 2]
    assert survivors(errors, np.array([0, 2])).tolist() == [0]


def test_a_pass_a_class_gives_the_errors_of_the_one_pass(model):
    net = Procedure(model, passes_a_class=False).passes
    each = Procedure(model, passes_a_class=True).passes
    given = (
        torch.rand(2, *model.noise.shape[1:]),
        torch.randn(2, *model.noise.shape[1:]),
        torch.tensor([0.3, 0.9]),
    )
    with torch.inference_mode():
        left = np.array([0, 3, 5])
        np.testing.assert_allclose(each(*given, left), net(*given, left), rtol=1e-4)


def test_what_it_spends(model):
    image = np.zeros(model.noise.shape[1:], np.float32)
    runs = [Procedure(model, passes_a_class=each, most=FIRST)(image) for each in (True, False)]
    classes = len(model.card.classes)
    assert [r.passes for r in runs] == [FIRST * classes, FIRST] and {r.draws for r in runs} == {
        FIRST
    }
    assert runs[0].label == runs[1].label and runs[0].decided == runs[1].decided
