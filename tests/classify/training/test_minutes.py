"""A training that ends by the clock: its schedule, and what a stop keeps of it."""

import json

import pytest

pytest.importorskip("torch")

from classify.training import TrainConfig  # noqa: E402
from classify.training.schedule import learning_rate, paced, seconds_logged, share_done  # noqa: E402


def recipe(**changes) -> TrainConfig:
    return TrainConfig(train="home", val="val", **changes)


def test_a_training_is_as_far_as_its_minutes_or_its_steps():
    assert share_done(recipe(minutes=2), step=10, seconds=30) == 0.25
    assert share_done(recipe(steps=40), step=10, seconds=1e6) == 0.25


def test_the_rate_falls_with_the_minutes_however_fast_the_steps_are():
    cfg = recipe(minutes=1, learning_rate=1.0)
    for step in (100, 10_000):
        early, late = (learning_rate(step, paced(cfg, cfg, step, share)) for share in (0.2, 0.99))
        assert early > 0.8 and late < 0.05


def test_a_stopped_training_goes_on_with_the_seconds_up_to_its_checkpoint(tmp_path):
    rows = [{"step": step, "seconds": 2.0 * step} for step in (1, 2, 3)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "log.jsonl").write_text(text + '{"step": 4, "sec')
    assert seconds_logged(tmp_path, step=2) == 4.0
    assert seconds_logged(tmp_path / "none", step=2) == 0.0
