"""`cytostream demo`: a small smear with known cells, a real broker, the whole path, and what
arrives from Kafka.
"""

import math
from collections import Counter
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from rich.table import Table

from classify import SHIPPED, read_sheet
from classify.explain import soft_disc
from ingest.synthetic import Sprite, glass, place, red_cell_sprite, write_pyramid
from stream.cli.console import screen
from stream.cli.options import RunOptions
from stream.cli.page_server import Page
from stream.cli.review_page import serve_page
from stream.config import load_config
from stream.events import Event, JsonObject
from stream.kafka import Broker, read_all

from .run import run_slides
from .topics import sentence

MPP = 0.25
# cells of a class in rows, far enough apart to be told apart afterwards
PITCH_PX = 256
ROW_PX = 320
RED_CELLS_A_MPX = 340
_GLASS = (247, 238, 224)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A cell of the demo slide: its class, or "odd", and its centre in level-0 px."""

    label: str
    x_px0: int
    y_px0: int


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the slide and the results.")] = Path(
        "demo-out"
    ),
    keep: Annotated[bool, typer.Option(help="Keep results of an earlier demo and go on.")] = False,
    serve: Annotated[
        bool, typer.Option(help="Then serve the review page over it, until Ctrl-C.")
    ] = False,
) -> None:
    """Make a small smear from generated cells, run it through everything, and show what
    arrives from Kafka.
    """
    store = run_demo(out, keep, serve)
    if not serve:
        screen.print(
            f"\nreview it in a browser: cytostream serve --store {store} --sink none",
        )


def run_demo(out: Path, keep: bool = False, serve: bool = False) -> Path:
    """Makes the demo slide, runs it, and shows what came back from Kafka; gives the store. `serve`:
    serves the review page over it, until it is stopped.

    Raises:
        CytostreamError: the store, the model or the broker cannot be used.
    """
    out.mkdir(parents=True, exist_ok=True)
    slide, placed = make_slide(out / "smear.tiff")
    screen.print(f"a smear of {len(placed)} generated cells among red cells: {slide}")
    with Broker() as broker:
        screen.print(f"a Kafka broker listens on {broker.bootstrap}")
        config = out / "demo.toml"
        # 1 in 100 instead of 1 in 1,000: a smear of a hundred generated cells should show what an
        # alert looks like
        config.write_text(
            f'[kafka]\nbootstrap = "{broker.bootstrap}"\nread_back = '
            "true\n[alerts]\nanomaly_above = 0.99\n"
        )
        store = out / "results" if keep else fresh(out)
        settings = load_config(config)
        run_slides([slide], store, settings, RunOptions())
        tell(list(read_all(settings.kafka)), placed)
        if serve:
            serve_page(Page(store), settings)
    return store


def tell(events: list[Event], placed: list[_Placed]) -> None:
    """What came back, against what was placed."""
    screen.print(
        f"\nread back from Kafka: {len(events)} events, {len({e.id for e in events})} ids\n"
    )
    for event in [e for e in events if e.kind in ("slides", "failures")] + [
        e for e in events if e.kind == "alerts"
    ][:12]:
        screen.print(sentence(event))
    screen.print(truth_table(placed, [e.data for e in events if e.kind == "cells"]))


def fresh(out: Path) -> Path:
    """A results folder that no earlier demo has used."""
    return next(p for n in count(1) if not (p := out / f"results-{n}").exists())


def make_slide(path: Path, seed: int = 0) -> tuple[Path, list[_Placed]]:
    """Write the demo slide; the cells and where they are."""
    from classify import load_model

    rng = np.random.default_rng(seed)
    card = load_model(SHIPPED).card
    labels = [*card.counted, "odd"]
    sheet = read_sheet(len(labels))
    height_px = (len(labels) + 1) * ROW_PX
    width_px = (sheet.shape[1] + 1) * PITCH_PX
    canvas = glass(height_px, width_px, _GLASS, rng)
    place(canvas, red_cell_sprites(rng, height_px, width_px))
    placed = []
    for row, cells in enumerate(sheet):
        for column, cell in enumerate(cells):
            at = _Placed(labels[row], int((column + 0.6) * PITCH_PX), int((row + 0.8) * ROW_PX))
            place(canvas, [sprite(cell, at, card.window_um)])
            placed.append(at)
    write_pyramid(path, canvas, MPP)
    return path, placed


def red_cell_sprites(rng: np.random.Generator, height_px: int, width_px: int) -> list[Sprite]:
    """Red cells anywhere on a canvas, as close to each other as in a monolayer."""
    count = round(RED_CELLS_A_MPX * height_px * width_px / 1e6)
    places = rng.integers(0, (width_px, height_px), (count, 2))
    return [Sprite(*red_cell_sprite(MPP, rng), int(x), int(y)) for x, y in places]


def sprite(cell: np.ndarray, at: _Placed, window_um: float) -> Sprite:
    """A generated window, white around the cell, as a cell to place on the glass: the disc
    around it, with a soft edge.
    """
    px = round(window_um / MPP)
    light = np.asarray(Image.fromarray(cell).resize((px, px), Image.Resampling.BICUBIC)) / 255
    return Sprite((light * _GLASS).astype(np.uint8), soft_disc(px), at.x_px0, at.y_px0)


def truth_table(placed: list[_Placed], cells: list[JsonObject]) -> Table:
    """One row a class: how many were placed, found there, and what they were called."""
    table = Table(
        "placed", "n", "found", "called", title="What was placed, and what Kafka says of it"
    )
    found = {at: nearest(at, cells) for at in placed}
    for label in dict.fromkeys(at.label for at in placed):
        mine = [found[at] for at in placed if at.label == label]
        called = Counter(c["label"] for c in mine if c)
        table.add_row(
            label,
            str(len(mine)),
            str(called.total()),
            "  ".join(f"{k} {v}" for k, v in called.most_common()),
        )
    return table


def nearest(at: _Placed, cells: list[JsonObject], within_um: float = 8.0) -> JsonObject | None:
    """The cell nearest to a place, if it is near."""

    def distance(cell: JsonObject) -> float:
        return math.hypot(cell["x_px0"] - at.x_px0, cell["y_px0"] - at.y_px0)

    best = min(cells, key=distance, default=None)
    return best if best and distance(best) * MPP <= within_um else None
