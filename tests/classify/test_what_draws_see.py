"""A judge that leaves out the noise, the noise level, the turn or the white background of a draw
gives wrong verdicts of every cell; each is felt by the classes of the engine here.
"""

from dataclasses import replace

import numpy as np
import pytest

from classify import judge
from tests.make import CLASSES, tiny_model

DRAWS = 6


class FeelingEngine:
    """A class's error is how far what it feels lies from what it expects: the first feels where in
    the square the cell is dark, the second the noise under the cell, the third the noise level.
    """

    name, version, precision, batch = "fake", "0", "f32", 4

    def __init__(self):
        self.seen = []

    def errors(self, images, noise, sigma):
        self.seen += list(zip(images.copy(), noise.copy(), sigma.tolist(), strict=True))
        px = images.shape[-1]
        ramp = np.linspace(-1, 1, px, dtype=np.float32)
        place = (images.mean(axis=1) * (ramp + 2 * ramp[:, None])).mean(axis=(1, 2))
        under = (images * noise).mean(axis=(1, 2, 3))
        felt = np.stack([20 * np.abs(place), 20 * np.abs(under), sigma], axis=1)
        return felt.astype(np.float32)

    def errors_and_features(self, images, noise, sigma):
        return self.errors(images, noise, sigma), np.zeros((len(images), 8), np.float32)


def model(**about):
    made = tiny_model(DRAWS)
    sigma = np.linspace(0.2, 0.9, DRAWS).astype(np.float32)
    return replace(made, sigma=sigma, card=made.card.model_copy(update=about))


def crop(seed=0):
    """Without any symmetry, on a grey background."""
    rng = np.random.default_rng(seed)
    made = np.full((128, 128, 3), (210, 205, 190), np.uint8)
    made[30:70, 40:100] = (120, 70, 150)
    made[40:60, 40:55] = rng.integers(0, 255, (20, 15, 3))
    return made


def laid(square, number):
    """One of the eight ways to lay a square down, by its corners: quarter turns against the
    clock, and from the fourth on their mirror images.
    """
    for _ in range(number % 4):
        square = np.swapaxes(square, -1, -2)[..., ::-1, :]
    return square[..., ::-1] if number >= 4 else square


def window(cell, px=96, out=16):
    """The middle of a crop in [-1, 1], on means of six px a side."""
    middle = cell[16:112, 16:112].astype(np.float32) / 127.5 - 1
    return np.moveaxis(middle, -1, 0).reshape(3, out, px // out, out, px // out).mean(axis=(2, 4))


def errors_of(image, made, draw):
    """Errors (3,) of one image (1, 3, px, px) in one draw."""
    level = made.sigma[draw : draw + 1]
    return FeelingEngine().errors(image, made.noise[draw][None], level)[0]


def test_each_draw_has_its_own_noise_its_level_and_its_turn():
    engine, made = FeelingEngine(), model()
    ((_, verdict),) = judge([("a", crop())], engine, made, exhaustive=True)
    assert verdict.draws == DRAWS
    plain = window(crop())
    by_level = sorted(engine.seen[:DRAWS], key=lambda seen: seen[2])
    assert [level for _, _, level in by_level] == pytest.approx(made.sigma.tolist())
    for draw, (image, noise, _) in enumerate(by_level):
        np.testing.assert_array_equal(noise, made.noise[draw])
        assert made.turn[draw] == draw
        others = [np.abs(image - laid(plain, n)).mean() for n in range(8) if n != draw]
        assert np.abs(image - laid(plain, draw)).mean() < min(others) / 3


def test_the_probabilities_are_those_of_the_errors_of_all_draws():
    """Weighed sums of errors over the temperature, worked out here by hand."""
    cells, made = [crop(seed) for seed in range(5)], model()
    found = dict(judge(enumerate(cells), FeelingEngine(), made, exhaustive=True))
    for number, cell in enumerate(cells):
        total = np.zeros(3)
        for draw in range(DRAWS):
            image = laid(window(cell), draw)[None]
            error = FeelingEngine().errors(
                image, made.noise[draw][None], made.sigma[draw : draw + 1]
            )
            total += made.weight[draw] * error[0]
        power = np.exp(-(total - total.min()) / made.temperature[-1])
        scores = [found[number].scores[name] for name in CLASSES]
        assert scores == pytest.approx((power / power.sum()).tolist(), abs=0.05)


@pytest.mark.parametrize("white", [True, False])
def test_the_background_is_made_white_where_the_card_says_so(white):
    engine = FeelingEngine()
    list(judge([("a", crop())], engine, model(white=white), exhaustive=True))
    lightest = max(image.max() for image, _, _ in engine.seen)
    assert (lightest > 0.97) == white


def test_errors_of_one_draw_are_put_with_that_draw():
    """One draw weighs all: its errors alone say which class it is."""
    first, last = (np.eye(DRAWS)[n].astype(np.float32) * 50 for n in (0, DRAWS - 1))
    for weight in (first, last):
        made = replace(model(), weight=weight)
        ((_, verdict),) = judge([("a", crop())], FeelingEngine(), made, exhaustive=True)
        draw = int(weight.argmax())
        image = laid(window(crop()), draw)[None]
        error = FeelingEngine().errors(image, made.noise[draw][None], made.sigma[draw : draw + 1])[
            0
        ]
        assert verdict.label == CLASSES[int(error.argmin())]
