"""What every engine does. A test module inherits `EngineContract` and gives `engine` and
`model`.
"""

import numpy as np
import pytest


def inputs(model, n, seed=0):
    rng = np.random.default_rng(seed)
    px = model.card.image_px
    images = rng.uniform(-1, 1, (n, 3, px, px)).astype(np.float32)
    noise = rng.standard_normal((n, 3, px, px)).astype(np.float32)
    return images, noise, rng.uniform(0.2, 2, n).astype(np.float32)


class EngineContract:
    def test_errors_are_finite_and_of_every_class(self, engine, model):
        errors = engine.errors(*inputs(model, 3))
        assert errors.shape == (3, len(model.card.classes)) and errors.dtype == np.float32
        assert np.isfinite(errors).all() and (errors > 0).all()

    @pytest.mark.parametrize("n", [1, 7, 33])
    def test_a_pair_does_not_depend_on_its_company(self, engine, model, n):
        images, noise, sigma = inputs(model, 33)
        whole = engine.errors(images, noise, sigma)
        order = np.random.default_rng(n).permutation(33)[:n]
        part = engine.errors(images[order], noise[order], sigma[order])
        np.testing.assert_array_equal(part, whole[order])

    def test_one_pass_gives_the_same_errors_with_the_features(self, engine, model):
        given = inputs(model, 9)
        errors, features = engine.errors_and_features(*given)
        np.testing.assert_array_equal(errors, engine.errors(*given))
        assert features.shape == (9, model.card.features) and np.ptp(features) > 0
        part = [x[4:5] for x in given]
        np.testing.assert_array_equal(engine.errors_and_features(*part)[1], features[4:5])

    def test_the_error_is_that_of_the_denoised_image(self, engine, model):
        """errors = mean over the disc of (denoised - image)^2 / c_out^2, so the best denoised image
        has the least error.
        """
        images, noise, sigma = inputs(model, 4)
        denoised = engine.denoised(images, noise, sigma)
        assert denoised.shape == (4, len(model.card.classes), *images.shape[1:])

    def test_the_features_of_a_pair_do_not_depend_on_its_company(self, engine, model):
        given = inputs(model, 9)
        features = engine.features(*given)
        assert features.shape == (9, model.card.features) and np.isfinite(features).all()
        np.testing.assert_array_equal(engine.features(*(x[4:5] for x in given)), features[4:5])

    def test_it_names_itself(self, engine):
        assert engine.name and engine.precision in ("f32", "bf16", "f16") and engine.batch >= 1
