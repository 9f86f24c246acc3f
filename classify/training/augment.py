"""Other views, other stains, other cameras: the augmentation of training (needs torch)."""

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from classify.pixels import resample_matrix


@dataclass(frozen=True, slots=True)
class Jitter:
    """How far augmentation goes; 0 everywhere is none. Spreads are standard deviations.

    `stain` is how dense each dye is, `hue` its own colour, `faded` the share of images that lose
    some of all colour.
    """

    rotate: bool = True
    scale: float = 0.08
    shift_px: float = 3.0
    stain: float = 0.35
    hue: float = 0.0
    faded: float = 0.0
    colour: float = 0.08
    gamma: float = 0.2
    white: float = 0.1
    blur_px: float = 1.0
    noise: float = 0.02
    jpeg_share: float = 0.0
    mild_share: float = 0.25
    laboratories: float = 0.0
    sharpen_share: float = 0.0


# Columns: optical densities (red, green, blue) of a white cell's nucleus and of a red cell on PBC's
# smears, white background
# (medians over pbc/train), and what is at right angles to both. From lab to lab each moves on its
# own.
DYES = torch.tensor([[1.20, 0.21, 0.63], [1.96, 0.30, -0.35], [0.49, 0.19, -0.13]])


def window_grid(
    centres: Tensor, turn: Tensor, zoom: Tensor, flip: Tensor, window_px: int, crop_px: int
) -> Tensor:
    """Sampling grid (b, window, window, 2) of turned, scaled, mirrored windows around `centres` (b,
    2), in crop px.
    """
    r = torch.arange(window_px, dtype=torch.float32, device=turn.device) + 0.5 - window_px / 2
    y, x = torch.meshgrid(r, r, indexing="ij")
    cos = (turn.cos() * zoom)[:, None, None]
    sin = (turn.sin() * zoom)[:, None, None]
    x = x * flip[:, None, None]
    gx = cos * x - sin * y + centres[:, 0, None, None]
    gy = sin * x + cos * y + centres[:, 1, None, None]
    return torch.stack([gx, gy], dim=-1) / (crop_px / 2) - 1


def off_centre(n: int, crop_px: int, rng: torch.Generator) -> Tensor:
    """Centres (n, 2) away from the cell: red cells, clumps, borders, cut cells."""
    radius = crop_px * (0.30 + 0.18 * torch.rand(n, generator=rng, device=rng.device))
    angle = 2 * torch.pi * torch.rand(n, generator=rng, device=rng.device)
    return crop_px / 2 + radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)


def view(
    images: Tensor,
    other: Tensor,
    window_px: int,
    image_px: int,
    jitter: Jitter,
    rng: torch.Generator,
) -> Tensor:
    """8-bit crops (b, px, px, 3) -> (b, 3, image_px, image_px) in [-1, 1], each from a random view.

    Where `other` (b,) holds, the window is moved off the cell.
    """
    b, px = images.shape[:2]
    place = rng.device

    def unit() -> Tensor:
        return torch.randn(b, generator=rng, device=place)

    turn = torch.zeros(b, device=place)
    flip = torch.ones(b, device=place)
    if jitter.rotate:
        turn = 2 * torch.pi * torch.rand(b, generator=rng, device=place)
        flip = torch.randint(0, 2, (b,), generator=rng, device=place) * 2.0 - 1
    zoom = (jitter.scale * unit()).clamp(-0.25, 0.25).exp()
    near = px / 2 + jitter.shift_px * torch.stack([unit(), unit()], dim=1)
    centres = torch.where(other[:, None], off_centre(b, px, rng), near)
    x = images.permute(0, 3, 1, 2).float() / 127.5 - 1
    grid = window_grid(centres, turn, zoom, flip, window_px, px)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    a = torch.from_numpy(resample_matrix(window_px, image_px)).to(place)
    return a @ x @ a.T


def recolour(
    x: Tensor, jitter: Jitter, rng: torch.Generator, mix_first: Tensor | None = None
) -> Tensor:
    """Other stains and other cameras: jitter in optical density, per image, wide enough to cross
    labs.

    `mix_first` (b, 3, 3) is laid on the densities before anything else: another laboratory's
    colours.
    """
    b = len(x)
    place = rng.device
    dyes_here = DYES.to(place)

    def normal(*shape: int) -> Tensor:
        return torch.randn(b, *shape, generator=rng, device=place)

    def unit() -> Tensor:
        return torch.rand(b, generator=rng, device=place)

    strong = (unit() >= jitter.mild_share).float()
    s = (strong * (0.3 + 0.7 * unit()) + (1 - strong) * 0.15)[:, None, None]
    density = -((x.flatten(2) + 1) / 2).clamp(1 / 255, 1).log()
    density = density if mix_first is None else mix_first @ density
    stains = torch.linalg.solve(dyes_here, density)
    dyes = dyes_here * (jitter.stain * s * normal(1, 3) + jitter.hue * s * normal(3, 3)).exp()
    mix = torch.eye(3, device=place) + jitter.colour * s * normal(3, 3)
    density = mix @ (dyes @ stains) + jitter.white * s * normal(3, 1)
    if jitter.faded:
        density = fade(density, jitter.faded, rng)
    density = density.clamp(min=0) * (jitter.gamma * s * normal(1, 1)).exp()
    return ((-density).exp() * 2 - 1).reshape(x.shape)


def fade(density: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Densities (b, 3, n) of which a share of images is drawn towards grey, so that shape must tell
    what colour does not.
    """
    shape = (len(density), 1, 1)
    chosen = torch.rand(shape, generator=rng, device=rng.device) < share
    lost = chosen * torch.rand(shape, generator=rng, device=rng.device)
    return density + lost * (density.mean(dim=1, keepdim=True) - density)


def jpeg(x: Tensor, chosen: Tensor, rng: torch.Generator) -> Tensor:
    """Images (b, 3, px, px) in [-1, 1]; the chosen (b,) after JPEG at a random quality from 30 to
    90.
    """
    quality = torch.randint(30, 91, (len(x),), generator=rng, device=rng.device)[chosen].tolist()
    levels = ((x[chosen].permute(0, 2, 3, 1) + 1) * 127.5).round().byte().cpu().numpy()
    for image, each in zip(levels, quality, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=each)
        image[:] = np.array(Image.open(file))
    x = x.clone()
    x[chosen] = torch.from_numpy(levels).to(x.device).permute(0, 3, 1, 2) / 127.5 - 1
    return x


def blur(x: Tensor, sigma_px: Tensor) -> Tensor:
    """Gaussian blur of each image by its own sigma (b,)."""
    t = torch.arange(-3, 4, dtype=torch.float32, device=x.device)
    k = (-(t**2) / (2 * sigma_px[:, None].clamp(min=0.05) ** 2)).exp()
    k = (k / k.sum(1, keepdim=True)).repeat_interleave(3, 0)
    y = F.pad(x, (3, 3, 3, 3), mode="reflect").reshape(1, -1, x.shape[2] + 6, x.shape[3] + 6)
    y = F.conv2d(y, k[:, None, :, None], groups=len(k))
    return F.conv2d(y, k[:, None, None, :], groups=len(k)).reshape(x.shape)


def augment_crops(
    images: Tensor,
    other: Tensor,
    window_px: int,
    image_px: int,
    jitter: Jitter,
    rng: torch.Generator,
    mix_first: Tensor | None = None,
) -> Tensor:
    """All of training's augmentation; shapes as `view`, `mix_first` as `recolour`."""
    x = recolour(view(images, other, window_px, image_px, jitter, rng), jitter, rng, mix_first)
    place = rng.device

    def unit(*shape: int) -> Tensor:
        return torch.rand(len(x), *shape, generator=rng, device=place)

    chosen = unit() < 0.3
    x = blur(x, chosen * jitter.blur_px * unit())
    if jitter.sharpen_share:
        amount = (unit(1, 1, 1) < jitter.sharpen_share) * unit(1, 1, 1)
        x = x + amount * (x - blur(x, torch.ones(len(x), device=place)))
    grain = jitter.noise * unit(1, 1, 1)
    noise = torch.randn(x.shape, generator=rng, device=place)
    x = (x + 2 * grain * noise).clamp(-1, 1)
    return jpeg(x, unit() < jitter.jpeg_share, rng) if jitter.jpeg_share else x
