import numpy as np
import pytest

from classify import load_model
from classify.engines.openvino import OpenVinoEngine
from tests.contracts.engine_contract import EngineContract, inputs

SIGMA_DATA = 0.5


@pytest.fixture(scope="module")
def model():
    return load_model()


@pytest.fixture(scope="module")
def engines(model):
    return {precision: OpenVinoEngine(model, precision) for precision in ("f32", None)}


class TestOpenVinoF32(EngineContract):
    @pytest.fixture
    def engine(self, engines):
        return engines["f32"]

    def test_the_error_follows_from_the_denoised_image(self, engine, model):
        """EDM: the error of F is that of D over c_out, here over the whole window, so only near to
        that over the disc.
        """
        images, noise, sigma = inputs(model, 4)
        s = sigma[:, None, None, None, None]
        c_out = s * SIGMA_DATA / np.sqrt(s**2 + SIGMA_DATA**2)
        delta = (engine.denoised(images, noise, sigma) - images[:, None]) / c_out
        from_images = (delta**2).mean(axis=(2, 3, 4))
        errors = engine.errors(images, noise, sigma)
        np.testing.assert_allclose(errors, from_images, rtol=0.2)


class TestOpenVinoAsTheCardAllows(EngineContract):
    @pytest.fixture
    def engine(self, engines):
        return engines[None]

    def test_a_pass_has_one_size(self, engine, model):
        """A graph of open sizes is prepared again for each."""
        px = model.card.image_px
        whole = (engine.chunk, 3, px, px)
        inputs_of = engine.compile("features").inputs
        assert [tuple(one.shape) for one in inputs_of] == [whole, whole, (engine.chunk,)]
