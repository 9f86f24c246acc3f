from .smear import DENSE_REDS, LOOKS, SPARSE_REDS, Layer, Look, Synthetic
from .smear_file import write_synthetic
from .sprites import Sprite, glass, place, red_cell_sprite, write_pyramid

__all__ = [
    "LOOKS",
    "Layer",
    "Look",
    "Sprite",
    "Synthetic",
    "DENSE_REDS",
    "SPARSE_REDS",
    "glass",
    "place",
    "red_cell_sprite",
    "write_pyramid",
    "write_synthetic",
]
