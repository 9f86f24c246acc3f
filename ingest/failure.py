"""One bad item: it travels on as data, to its own topic, and the rest goes on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be read or scored, at which stage, and what to do next.

    `box_px0` is (x0, y0, x1, y1) in level-0 px, where the failure has a place. `what` and `hint`
    may name the file and so a patient; `code` says for others what kind of failure it is, and
    `figures` holds numbers and units alone.
    """

    slide_id: str
    stage: str
    what: str
    hint: str = ""
    box_px0: tuple[int, int, int, int] | None = None
    code: str = ""
    figures: str = ""
