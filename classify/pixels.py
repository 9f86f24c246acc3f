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
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def central(images: np.ndarray, px: int) -> np.ndarray:
    """The central `px` square of images (..., h, w, 3)."""
    top, left = ((n - px) // 2 for n in images.shape[-3:-1])
    return images[..., top : top + px, left : left + px, :]


def to_input(crops: np.ndarray, window_px: int, image_px: int) -> np.ndarray:
    """8-bit crops (n, h, w, 3) -> float32 (n, 3, image_px, image_px) in [-1, 1] of their central window.

    Raises:
        ValueError: the crops are smaller than the window.
    """
    if min(crops.shape[1:3]) < window_px:
        raise ValueError(f"crops of {crops.shape[1:3]} px are smaller than the model's window of {window_px} px")
    x = central(crops, window_px).astype(np.float32) / 127.5 - 1.0
    a = resample_matrix(window_px, image_px)
    return np.ascontiguousarray(np.einsum("oh,nhwc,pw->ncop", a, x, a, optimize=True))


def to_uint8(images: np.ndarray) -> np.ndarray:
    """float (..., 3, h, w) in [-1, 1] -> 8-bit (..., h, w, 3)."""
    x = np.moveaxis(np.asarray(images), -3, -1)
    return np.clip(np.rint((x + 1.0) * 127.5), 0, 255).astype(np.uint8)
