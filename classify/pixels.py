"""From a crop of the cell (8-bit RGB) to the pixels that the net sees, and back. numpy alone."""

import numpy as np


def resample_matrix(n_in: int, n_out: int) -> np.ndarray:
    """Matrix (n_out, n_in) of a linear resampling whose filter widens as it shrinks (no aliasing).

    Example:
        >>> resample_matrix(4, 2).sum(axis=1).round(6).tolist()
        [1.0, 1.0]
    """
    scale = n_in / n_out
    centres = (np.arange(n_out) + 0.5) * scale - 0.5
    distance = np.abs(centres[:, None] - np.arange(n_in)) / max(scale, 1.0)
    weights = np.clip(1.0 - distance, 0.0, None)
    result: np.ndarray = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


def central(images: np.ndarray, px: int) -> np.ndarray:
    """The central `px` square of images (..., h, w, 3)."""
    top, left = ((n - px) // 2 for n in images.shape[-3:-1])
    return images[..., top : top + px, left : left + px, :]


DENSITY = -np.log(np.maximum(np.arange(256), 1) / 255).astype(
    np.float32
)  # optical density of an 8-bit level
FAINTEST = (
    0.03,
    0.12,
)  # shares of the pixels, from the faintest on, between which the background lies
DENSEST_BACKGROUND = 0.7
TURNS = 8


def background(crops: np.ndarray) -> np.ndarray:
    """Optical density (n, 3) of the bare glass in 8-bit crops (n, h, w, 3): the mean of their
    faintest pixels.

    Where a crop shows no glass it is its faintest cells', and never more than 0.7.
    """
    density = DENSITY[crops[:, ::2, ::2]].reshape(len(crops), -1, 3)
    lo, hi = (int(share * density.shape[1]) for share in FAINTEST)
    dark = density[..., 0] + density[..., 1] + density[..., 2]  # `sum` takes five times as long
    faintest = np.argpartition(dark, (lo, hi), axis=1)[:, lo : hi + 1]
    result: np.ndarray = np.minimum(
        np.take_along_axis(density, faintest[..., None], axis=1).mean(axis=1), DENSEST_BACKGROUND
    )
    return result


def on_white(crops: np.ndarray) -> np.ndarray:
    """8-bit crops (n, h, w, 3) with their background made white: lamp, camera and glass tell the
    lab, not the cell.
    """
    return relevelled(crops, white_levels(crops))


def white_levels(crops: np.ndarray) -> np.ndarray:
    """The level (n, 3, 256) uint8 that makes each level of each channel white as `on_white` does.

    Densities add up along the light (Beer-Lambert), so the background's is taken off every pixel.
    """
    gain = np.exp(background(crops))
    result: np.ndarray = np.clip(np.rint(np.arange(256) * gain[..., None]), 0, 255).astype(np.uint8)
    return result


def relevelled(crops: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Crops (n, h, w, 3) with their levels replaced by a table (n, 3, 256)."""
    start = np.arange(0, levels.size, 256, dtype=np.int32).reshape(len(crops), 1, 1, 3)
    return levels.ravel().take(crops + start)


def to_input(crops: np.ndarray, window_px: int, image_px: int, white: bool = False) -> np.ndarray:
    """8-bit crops (n, h, w, 3) -> float32 (n, 3, image_px, image_px) in [-1, 1] of their central
    window, `white` as `on_white`.

    Raises:
        ValueError: the crops are smaller than the window.
    """
    if min(crops.shape[1:3]) < window_px:
        raise ValueError(
            f"crops of {crops.shape[1:3]} px are smaller than the model's window of {window_px} px"
        )
    window = central(crops, window_px)
    if white and len(crops):
        window = relevelled(window, white_levels(crops))
    x = np.moveaxis(window.astype(np.float32) / 127.5 - 1.0, -1, 1)
    if window_px == image_px:
        return np.ascontiguousarray(x)
    a = resample_matrix(window_px, image_px)
    return np.ascontiguousarray(a @ x @ a.T)


def turned(images: np.ndarray, turn: int) -> np.ndarray:
    """Images (..., px, px) in one of the eight ways to lay a square down: quarter turns, and those
    mirrored. 0 leaves them.

    Example:
        >>> turned(np.arange(4).reshape(2, 2), 1).tolist(), turned(np.arange(4).reshape(2, 2),
        4).tolist() ([[1, 3], [0, 2]], [[1, 0], [3, 2]])
    """
    quarters = np.rot90(images, turn % 4, axes=(-2, -1))
    return quarters[..., ::-1] if turn >= TURNS // 2 else quarters


def turned_back(images: np.ndarray, turn: int) -> np.ndarray:
    """The inverse of `turned`."""
    return np.rot90(images[..., ::-1] if turn >= TURNS // 2 else images, -(turn % 4), axes=(-2, -1))


def to_uint8(images: np.ndarray) -> np.ndarray:
    """float (..., 3, h, w) in [-1, 1] -> 8-bit (..., h, w, 3)."""
    x = np.moveaxis(np.asarray(images), -3, -1)
    return np.clip(np.rint((x + 1.0) * 127.5), 0, 255).astype(np.uint8)


def disc(px: int, fraction: float) -> np.ndarray:
    """Soft disc (px, px) of `fraction` of the image's half width, mean 1: where errors count, as
    the network has it.
    """
    r = (np.arange(px) + 0.5 - px / 2) / (px / 2)
    mask = 1 / (1 + np.exp((np.hypot(r[:, None], r) - fraction) * px / 4))
    result: np.ndarray = (mask / mask.mean()).astype(np.float32)
    return result
