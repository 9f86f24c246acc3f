"""Builders: small slides with known cells, a tiny model, and an engine that needs no net."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from classify import Card, Model
from classify.anomaly.score import fit_oddity, tables_of
from ingest.synthetic.sprites import Sprite, glass, place, red_cell_sprite, write_pyramid

GLASS = (246, 240, 230)
MPP = 0.25
CLASSES = ("dark", "light", "other")


def white_cell(
    rng: np.random.Generator, mpp: float = MPP, radius_um: float = 5.5
) -> tuple[np.ndarray, np.ndarray]:
    """RGB and alpha of a white cell: a violet nucleus in pale cytoplasm."""
    px = 2 * int(1.7 * radius_um / mpp) + 1
    y, x = (np.mgrid[:px, :px] - px // 2) * mpp
    r = np.hypot(x, y)
    nucleus = r < radius_um * 0.72
    tone = rng.integers(-12, 12)
    rgb = np.where(
        nucleus[..., None], np.array([96, 60, 140]) + tone, np.array([190, 178, 214])
    ).astype(np.uint8)
    return rgb, (1 / (1 + np.exp((r - radius_um) * 6))).astype(np.float32)


def smear(
    path: Path, side_px: int = 1400, whites: int = 6, seed: int = 0, mpp: float = MPP
) -> list[tuple[int, int]]:
    """Write a smear with white cells among red ones; returns the white cells' centres in level-0
    px.
    """
    rng = np.random.default_rng(seed)
    canvas = glass(side_px, side_px, GLASS, rng)
    place(
        canvas,
        [
            Sprite(*red_cell_sprite(mpp, rng), *rng.integers(0, side_px, 2))
            for _ in range(side_px**2 // 6000)
        ],
    )
    centres = [tuple(map(int, c)) for c in spread(rng, whites, side_px, 45 / mpp)]
    place(canvas, [Sprite(*white_cell(rng, mpp), x, y) for x, y in centres])
    write_pyramid(path, canvas, mpp)
    return centres


def spread(rng: np.random.Generator, count: int, side_px: int, apart_px: float) -> list[np.ndarray]:
    """Random points that keep their distance from each other and from the border."""
    points: list[np.ndarray] = []
    while len(points) < count:
        p = rng.integers(40, side_px - 40, 2)
        if all(np.hypot(*(p - q)) > apart_px for q in points):
            points.append(p)
    return points


def tiny_model(draws: int = 6, px: int = 16, elimination: float = 1e-3) -> Model:
    """A model of three classes whose tables are made up; it has no graph, so only a fake engine
    runs it.
    """
    rng = np.random.default_rng(1)
    k = len(CLASSES)
    card = Card(
        name="tiny",
        classes=CLASSES,
        crop_um=36,
        crop_px=128,
        window_px=96,
        image_px=px,
        sigmas=(0.5,) * draws,
        error_level=0.01,
        elimination=elimination,
        screen=0.99,
        training={"network": {"channels": [8]}},
        data={},
        sha256={"denoiser.onnx": "0" * 64},
    )
    sigma = np.full(draws, 0.5, np.float32)
    targets = np.linspace(-0.6, 0.8, k)  # as BrightnessEngine's
    middle = rng.choice(targets, 400) + rng.normal(0, 0.15, 400)
    normal = 0.3 + np.abs(middle[:, None, None] - targets) + rng.normal(0, 0.005, (400, draws, 1))
    return Model(
        card,
        Path("none"),
        sigma,
        rng.standard_normal((draws, 3, px, px)).astype(np.float32),
        np.full(draws, 60.0, np.float32),
        np.arange(1, draws + 1, dtype=np.float32),
        np.zeros(k, np.float32),
        np.full((draws, k), 0.4, np.float32),
        np.full((draws, k), 0.1, np.float32),
        turn=np.arange(draws) % 8,
        **tables_of(fit_oddity(normal, sigma)),
    )


class BrightnessEngine:
    """A fake: the classes differ by how bright the middle is; each draw adds noise of its own.
    Counts its passes.
    """

    name, version, precision, batch = "fake", "0", "f32", 8

    def __init__(self, classes: int = len(CLASSES)):
        self.targets = np.linspace(-0.6, 0.8, classes, dtype=np.float32)
        self.passes = 0

    def errors(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        self.passes += -(-len(images) // self.batch)
        half = images.shape[-1] // 4
        middle = images[:, :, half:-half, half:-half].mean(axis=(1, 2, 3), dtype=np.float64)
        wobble = (images * noise).mean(axis=(1, 2, 3), dtype=np.float64) * sigma
        return (0.3 + np.abs(middle[:, None] - self.targets) + 0.5 * wobble[:, None]).astype(
            np.float32
        )

    def errors_and_features(
        self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.errors(images, noise, sigma), self.features(images, noise, sigma)

    def denoised(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        flat = self.targets[None, :, None, None, None]
        return np.broadcast_to(flat, (len(images), len(self.targets), *images.shape[1:])).copy()

    def features(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        spots = images[:, :, 4::8, 4::8].reshape(len(images), -1)[:, :8]
        return (spots + 0.01 * sigma[:, None] * noise.mean(axis=(1, 2, 3))[:, None]).astype(
            np.float32
        )


def hanging_jpeg(side_px: int = 1024, scans: int = 20_000) -> bytes:
    """A JPEG of a few hundred kB that takes minutes to decode: one small progressive scan of the
    whole image, again and again.
    """
    out = io.BytesIO()
    Image.new("RGB", (side_px, side_px), (200, 190, 210)).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]
