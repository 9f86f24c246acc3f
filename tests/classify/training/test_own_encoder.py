"""A laboratory's own encoder by one key of the recipe; checkpoints that are small."""

import pytest

torch = pytest.importorskip("torch")

from classify.encoder import Encoder, encoder_of  # noqa: E402
from classify.errors import DataError  # noqa: E402
from classify.network import Denoiser, NetworkConfig  # noqa: E402
from classify.training.checkpoint import halved, whole  # noqa: E402

OWN = "tests.classify.training.random_encoder:RandomEncoder"


def network(encoder: str) -> NetworkConfig:
    return NetworkConfig(
        classes=3, image_px=32, patch_px=4, channels=(16, 16, 16, 16), encoder=encoder
    )


def test_the_denoiser_stands_on_a_laboratorys_own_encoder():
    cfg = network(OWN)
    net = Denoiser(cfg)
    image = torch.zeros(2, 3, 32, 32)
    errors, denoised, features = net(image, torch.randn(2, 3, 32, 32), torch.tensor([0.1, 1.0]))
    assert errors.shape == (2, 3) and denoised.shape == (2, 3, 3, 32, 32)
    assert features.shape == (2, cfg.features) == (2, 24)
    errors.sum().backward()
    assert net.trunk.encoder.stages[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["no.such.module:Encoder", "json:nothing", "json", "os:system"])
def test_what_is_no_encoder_is_refused(name):
    with pytest.raises(DataError, match="no encoder"):
        encoder_of(name)


def test_the_shipped_encoder_has_its_name():
    assert encoder_of("efficientnet-lite0") is Encoder


def test_a_compact_checkpoint_is_half_and_is_taken_up_again():
    weight = torch.nn.Parameter(torch.randn(50, 40))
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    weight.sum().backward()
    optimizer.step()
    state = {"average": {"w": weight.detach()}, "optimizer": optimizer.state_dict(), "step": 1}
    kept = halved(state)
    assert kept["average"]["w"].dtype == torch.float16
    assert kept["optimizer"]["state"][0]["exp_avg"].dtype == torch.bfloat16
    optimizer.load_state_dict(kept["optimizer"])
    assert optimizer.state[weight]["exp_avg"].dtype == torch.float32
    torch.testing.assert_close(whole(kept["average"])["w"], weight.detach(), rtol=1e-3, atol=1e-3)
