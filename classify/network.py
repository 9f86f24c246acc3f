"""The denoiser: one trunk for all classes, one linear head a class (training side; needs torch).

The preconditioning is Karras et al. 2022 (EDM), equation 7 and table 1. The heads follow multi-head
diffusion classifiers (arXiv 2305.15241): one pass yields the denoised image of every class.
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .encoder import encoder_of

_SIGMA_DATA = 0.5


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Shape of the net. `channels` and `blocks` name one resolution each, finest first."""

    classes: int
    image_px: int = 64
    patch_px: int = 2
    channels: tuple[int, ...] = (48, 96, 160)
    blocks: tuple[int, ...] = (1, 2, 2)
    disc_fraction: float = 0.84
    encoder: str = ""
    attributes: tuple[int, ...] = ()

    @property
    def features(self) -> int:
        """How many numbers a noisy image is pooled into."""
        return encoder_of(self.encoder).skip_channels[-1] if self.encoder else self.channels[-1]


def groups_of(channels: int) -> int:
    return channels // 16


class Block(nn.Module):
    """Residual block whose gain and shift follow the noise level."""

    def __init__(self, n_in: int, n_out: int, n_emb: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups_of(n_in), n_in)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups_of(n_out), n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.film = nn.Linear(n_emb, 2 * n_out)
        self.skip = nn.Conv2d(n_in, n_out, 1) if n_in != n_out else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        gain, shift = self.film(emb)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + gain) + shift))
        result: Tensor = self.skip(x) + h
        return result


class Attention(nn.Module):
    """Self-attention over all pixels of the coarsest resolution."""

    def __init__(self, channels: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups_of(channels), channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w)
        q, k, v = qkv.transpose(-1, -2).unbind(1)
        y = F.scaled_dot_product_attention(q, k, v)
        result: Tensor = x + self.out(y.transpose(-1, -2).reshape(b, c, h, w))
        return result


class NoiseEmbedding(nn.Module):
    freqs: Tensor

    def __init__(self, n_emb: int, frequencies: int = 16):
        super().__init__()
        self.register_buffer("freqs", math.pi * torch.arange(1, frequencies + 1) / 8)
        self.mlp = nn.Sequential(
            nn.Linear(2 * frequencies, n_emb), nn.SiLU(), nn.Linear(n_emb, n_emb)
        )

    def forward(self, c_noise: Tensor) -> Tensor:
        angle = c_noise[:, None] * self.freqs
        return F.silu(self.mlp(torch.cat([angle.cos(), angle.sin()], dim=1)))


class Trunk(nn.Module):
    """A U-Net over space-to-depth pixels; returns the features under the class heads."""

    def __init__(self, cfg: NetworkConfig):
        super().__init__()
        ch = cfg.channels
        n_emb = 4 * cfg.channels[0]
        self.embed = NoiseEmbedding(n_emb)
        self.stem = nn.Conv2d(3 * cfg.patch_px**2, ch[0], 3, padding=1)
        self.patch_px = cfg.patch_px
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        for i, (c, n) in enumerate(zip(ch, cfg.blocks, strict=True)):
            self.down.append(
                nn.ModuleList(
                    [Block(ch[max(i - 1, 0)] if j == 0 else c, c, n_emb) for j in range(n)]
                )
            )
        self.middle = Attention(ch[-1])
        for i in reversed(range(len(ch) - 1)):
            self.up.append(Block(ch[i + 1] + ch[i], ch[i], n_emb))
        self.norm = nn.GroupNorm(groups_of(ch[0]), ch[0])

    def forward(self, x: Tensor, emb: Tensor) -> tuple[Tensor, Tensor]:
        """Features (b, channels[0], px/patch, px/patch) and the coarsest features, pooled (b,
        channels[-1]).

        `emb` (b, 4 * channels[0]) is what `embed` makes of the noise level.
        """
        h = self.stem(F.pixel_unshuffle(x, self.patch_px))
        skips = []
        for i, blocks in enumerate(self.down):
            h = F.avg_pool2d(h, 2) if i else h
            for block in cast(nn.ModuleList, blocks):
                h = block(h, emb)
            skips.append(h)
        h = self.middle(skips.pop())
        pooled = h.mean(dim=(2, 3))
        for block in self.up:
            h = F.interpolate(h, scale_factor=2, mode="nearest")
            h = block(torch.cat([h, skips.pop()], dim=1), emb)
        return F.silu(self.norm(h)), pooled


class EncoderTrunk(nn.Module):
    """A pretrained encoder and a small decoder in place of the U-Net; `channels` are the decoder's,
    stride 4 first.
    """

    def __init__(self, cfg: NetworkConfig):
        super().__init__()
        n_emb = 4 * cfg.channels[0]
        self.embed = NoiseEmbedding(n_emb)
        self.encoder = encoder_of(cfg.encoder)(n_emb)
        skips = self.encoder.skip_channels
        self.narrow = nn.ModuleList(
            [nn.Conv2d(c_in, c, 1) for c_in, c in zip(skips, cfg.channels, strict=True)]
        )
        self.up = nn.ModuleList(
            [Block(a + b, a, n_emb) for a, b in zip(cfg.channels, cfg.channels[1:], strict=False)]
        )
        self.norm = nn.GroupNorm(groups_of(cfg.channels[0]), cfg.channels[0])

    def forward(self, x: Tensor, emb: Tensor) -> tuple[Tensor, Tensor]:
        """Features (b, channels[0], px/4, px/4) and the encoder's last, pooled (b, 320); `emb` as
        `Trunk`.
        """
        kind = x.device.type
        # on CPUs depthwise convolutions are slower in bf16
        lowered = kind != "cpu" and torch.is_autocast_enabled(kind)
        with torch.autocast(kind, torch.get_autocast_dtype(kind), enabled=lowered):
            found = self.encoder(x.float(), emb.float())
        pooled = found[-1].mean(dim=(2, 3))
        skips = [narrow(h) for narrow, h in zip(self.narrow, found, strict=True)]
        h = skips.pop()
        for block in reversed(self.up):
            skip = skips.pop()
            h = F.interpolate(h, size=skip.shape[2:], mode="nearest")
            h = block(torch.cat([skip, h], dim=1), emb)
        return F.silu(self.norm(h)), pooled


def _disc(px: int, fraction: float) -> Tensor:
    """Soft disc of `fraction` of the image's half width, mean 1: background tells the lab, not the
    cell.
    """
    r = (torch.arange(px) + 0.5 - px / 2) / (px / 2)
    radius = (r[:, None] ** 2 + r[None] ** 2).sqrt()
    mask = torch.sigmoid((fraction - radius) * px / 4)
    return mask / mask.mean()


class TrunkNetwork(nn.Module):
    """A network over a trunk."""

    trunk: Trunk | EncoderTrunk


class Denoiser(TrunkNetwork):
    """`denoise(x, sigma)` gives the denoised image under every class; `errors` what the judge adds
    up.

    Both come of the net's own output F under every class, in patches (b, K, 3 * patch_px^2, px /
    patch_px, px / patch_px): laying out an image a class would cost a seventh of a pass, and errors
    do not need it.
    """

    mask: Tensor

    def __init__(self, cfg: NetworkConfig):
        super().__init__()
        self.cfg = cfg
        self.trunk = EncoderTrunk(cfg) if cfg.encoder else Trunk(cfg)
        patch = 3 * cfg.patch_px**2
        self.heads = nn.Conv2d(cfg.channels[0], cfg.classes * patch, 1)
        self.loudness = nn.Linear(4 * cfg.channels[0], patch)
        self.through = nn.Conv2d(patch, patch, 1)
        nn.init.normal_(self.heads.weight, std=1e-3)
        if self.heads.bias is not None:
            nn.init.zeros_(self.heads.bias)
        self.guide = nn.Linear(cfg.features, cfg.classes)
        self.attributes = nn.Linear(cfg.features, sum(cfg.attributes)) if cfg.attributes else None
        self.gain = nn.Parameter(torch.tensor([3.0, 0.0]))  # log a(sigma), log-linear in sigma
        mask = F.pixel_unshuffle(_disc(cfg.image_px, cfg.disc_fraction)[None], cfg.patch_px).repeat(
            3, 1, 1
        )
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, image: Tensor, noise: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is served, in one pass: errors (b, K), denoised images (b, K, 3, px, px), pooled
        features (b, F).
        """
        x = image + sigma[:, None, None, None] * noise
        patches, pooled = self.patches(x, sigma)
        return self.errors_of(patches, image, x, sigma), self.denoised_of(patches, x, sigma), pooled

    def patches(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """F of noisy images x (b, 3, px, px), and the coarsest features, pooled (b,
        channels[-1]).
        """
        c_in = (sigma**2 + _SIGMA_DATA**2).rsqrt()[:, None, None, None]
        x = c_in * x
        emb = self.trunk.embed(sigma.log() / 4)
        hidden, pooled = self.trunk(x, emb)
        of_classes = self.heads(hidden).unflatten(1, (self.cfg.classes, -1))
        return of_classes + self.noise_through(x, emb)[:, None], pooled

    def noise_through(self, x: Tensor, emb: Tensor) -> Tensor:
        """What F has of the noisy pixels themselves, the same for all classes: a narrow trunk
        cannot carry the noise.
        """
        result: Tensor = self.through(
            F.pixel_unshuffle(x, self.cfg.patch_px) * self.loudness(emb)[:, :, None, None]
        )
        return result

    def denoised_of(self, patches: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        c_skip, c_out = scales(sigma)
        raw = F.pixel_shuffle(patches.flatten(1, 2), self.cfg.patch_px).unflatten(
            1, (self.cfg.classes, 3)
        )
        result: Tensor = (c_skip * x)[:, None] + c_out[:, None] * raw.float()
        return result

    def errors_of(self, patches: Tensor, image: Tensor, x: Tensor, sigma: Tensor) -> Tensor:
        """EDM's weight 1/c_out^2 makes the denoised image's error that of F against its target;
        summed in fp32 over the disc.
        """
        c_skip, c_out = scales(sigma)
        target = F.pixel_unshuffle((image - c_skip * x) / c_out, self.cfg.patch_px)
        delta = patches.float() - target[:, None]
        return (delta**2 * self.mask).mean(dim=(2, 3, 4))

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Noisy images (b, 3, px, px) in [-1, 1] plus noise, sigma (b,) -> denoised (b, K, 3, px,
        px).
        """
        return self.denoised_of(self.patches(x, sigma)[0], x, sigma)

    def errors(self, image: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        """Weighted squared error (b, K) of the clean image under every class."""
        return self.errors_and_features(image, noise, sigma)[0]

    def errors_and_features(
        self, image: Tensor, noise: Tensor, sigma: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Errors (b, K) and the coarsest features, pooled (b, channels[-1])."""
        x = image + sigma[:, None, None, None] * noise
        patches, pooled = self.patches(x, sigma)
        return self.errors_of(patches, image, x, sigma), pooled

    def log_gain(self, sigma: Tensor) -> Tensor:
        """log a(sigma): the weight at which errors at this noise level add up to class logits."""
        return self.gain[0] + self.gain[1] * sigma.log()


def scales(sigma: Tensor) -> tuple[Tensor, Tensor]:
    """c_skip and c_out (b, 1, 1, 1) of noise levels (b,)."""
    s = sigma[:, None, None, None]
    total = s**2 + _SIGMA_DATA**2
    return _SIGMA_DATA**2 / total, s * _SIGMA_DATA / total.sqrt()
