from .smear import LOOKS, Layer, Look, Synthetic, write_synthetic
from .sprites import Sprite, glass, place, red_cell_sprite, write_pyramid

__all__ = [
    "LOOKS",
    "Layer",
    "Look",
    "Sprite",
    "Synthetic",
    "glass",
    "place",
    "red_cell_sprite",
    "write_pyramid",
    "write_synthetic",
]
