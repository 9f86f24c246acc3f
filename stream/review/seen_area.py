"""What part of a slide a person has had on the screen: the squares of a grid, each seen or not."""

import base64
import binascii
from dataclasses import dataclass

import numpy as np

ENOUGH_UM = 0.5  # a pixel of the screen, at most: the sampling of a 20x objective, by convention
_LEAST_PX0 = 64
_MOST_SQUARES = 512  # along the longer side of a slide


@dataclass(frozen=True, slots=True)
class SeenGrid:
    """The squares of a slide, `side_px0` wide, row by row."""

    side_px0: int
    columns: int
    rows: int

    @classmethod
    def of(cls, width_px0: int, height_px0: int) -> "SeenGrid":
        """The grid of a slide of this size."""
        side = max(_LEAST_PX0, -(-max(width_px0, height_px0) // _MOST_SQUARES))
        return cls(side, -(-width_px0 // side), -(-height_px0 // side))

    def squares(self, text: str) -> np.ndarray:
        """Which squares were seen (rows * columns,), bool, of their text; none of an empty one.

        Raises:
            ValueError: the text is not of this grid.
        """
        count = self.columns * self.rows
        if not text:
            return np.zeros(count, bool)
        try:
            packed = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
        except binascii.Error as error:
            raise ValueError("no base64") from error
        if len(packed) != -(-count // 8):
            raise ValueError(f"{len(packed)} bytes are not {count} squares")
        return np.unpackbits(packed, count=count).astype(bool)

    def text(self, squares: np.ndarray) -> str:
        """Squares as text: bits, the first one the highest of its byte, in base64."""
        return base64.b64encode(np.packbits(squares).tobytes()).decode()

    def joined(self, one: str, other: str) -> str:
        """What was seen in either.

        Raises:
            ValueError: a text is not of this grid.
        """
        return self.text(self.squares(one) | self.squares(other))

    def share(self, text: str) -> float:
        """The share of the slide that was seen, in [0, 1].

        Raises:
            ValueError: the text is not of this grid.
        """
        return float(self.squares(text).mean())
