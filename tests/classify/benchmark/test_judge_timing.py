"""An engine that is watched judges as it does alone, and every pass is counted."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from classify import judge  # noqa: E402
from classify.benchmark.judge_timing import Watched, judged  # noqa: E402
from tests.make import BrightnessEngine, tiny_model  # noqa: E402

pytestmark = pytest.mark.train
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("exhaustive", (False, True))
def test_judging_with_a_watched_engine(exhaustive):
    model = tiny_model()
    crops = RNG.integers(0, 256, (9, 1, 1, 3), np.uint8).repeat(128, axis=1).repeat(128, axis=2)
    alone = dict(judge(enumerate(crops), BrightnessEngine(), model, exhaustive))
    entry = judged("watched", model, BrightnessEngine(), crops, exhaustive)
    assert [model.card.classes[y] for y in entry.labels] == [alone[i].label for i in range(9)]
    np.testing.assert_array_equal(entry.odd, [alone[i].anomaly.score for i in range(9)])
    np.testing.assert_array_equal(entry.draws, [alone[i].draws for i in range(9)])
    assert entry.passes >= entry.draws.sum() and 0 < entry.inside_s < entry.seconds


def test_passes_are_counted_whichever_output_is_wanted():
    engine = BrightnessEngine()
    watched = Watched(engine)
    images, noise = RNG.normal(0, 1, (2, 5, 3, 16, 16)).astype(np.float32)
    given = images, noise, np.full(5, 0.5, np.float32)
    np.testing.assert_array_equal(watched.errors(*given), engine.errors(*given))
    errors, features = watched.errors_and_features(*given)
    np.testing.assert_array_equal(errors, engine.errors(*given))
    np.testing.assert_array_equal(features, engine.features(*given))
    assert watched.pairs == 10 and watched.seconds > 0
