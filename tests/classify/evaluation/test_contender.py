"""A denoiser under training as an engine."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from classify.evaluation.contender import NetEngine  # noqa: E402
from classify.network import Denoiser, NetworkConfig  # noqa: E402

pytestmark = pytest.mark.train


def test_errors_and_features_of_one_pass_are_those_of_the_network():
    torch.manual_seed(0)
    cfg = NetworkConfig(classes=3, image_px=32, patch_px=4, channels=(16, 32), blocks=(1, 1))
    net = Denoiser(cfg).eval()
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    images, noise = torch.randn(2, 5, 3, 32, 32).numpy()
    given = images, noise, np.linspace(0.2, 1, 5, dtype=np.float32)
    engine = NetEngine(net)
    errors, features = engine.errors_and_features(*given)
    assert errors.shape == (5, 3) and features.shape == (5, 32)
    np.testing.assert_array_equal(engine.errors(*given), errors)
    np.testing.assert_array_equal(engine.features(*given), features)
    with torch.inference_mode():
        expected = net.errors_and_features(*map(torch.from_numpy, given))
    for found, exact in zip((errors, features), expected, strict=True):
        np.testing.assert_allclose(found, exact, rtol=0.1, atol=0.05 * float(exact.abs().max()))
