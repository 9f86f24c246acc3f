"""A slide's facts as the journal keeps them: with the path, which never leaves the store; a viewer
need not hash it again.
"""

from dataclasses import asdict
from pathlib import Path

from ingest import Level, Slide
from stream.events import JsonObject


def facts_of(slide: Slide) -> JsonObject:
    """The facts as JSON values."""
    return {**asdict(slide), "path": str(slide.path)}


def slide_of(facts: JsonObject) -> Slide:
    """The inverse of `facts_of`."""
    return Slide(
        **{
            **facts,
            "path": Path(facts["path"]),
            "levels": tuple(Level(**level) for level in facts["levels"]),
            "origin_px0": tuple(facts.get("origin_px0", (0, 0))),
            "codes": tuple((kind, value) for kind, value in facts.get("codes", ())),
        }
    )
