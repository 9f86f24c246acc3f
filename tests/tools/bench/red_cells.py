"""`python -m tests.tools.bench.red_cells DATA`: red cells found on fields with points, and on
fields with boxes.

Points: how many lie in an outline, and outlines that hold two; a point need not be the middle
of its cell, so sloppy ones do no harm. Boxes: F1 at an overlap of a half, cells that touch the
border of their field left out on both sides.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ingest import open_slide, plan_tiles, read_tile, whole_field
from segment import begin_scan, find_cells, measure_field
from tests.scoring import BoxScore, score_boxes

FIELDS_MPP, BORDER_UM = 0.19, 0.4


@dataclass(frozen=True, slots=True)
class Points:
    """Points of one field: all, those in an outline; outlines, those with two points or more."""

    points: int
    held: int
    outlines: int
    crowded: int


def points_of(path: Path) -> Points:
    slide = open_slide(path, FIELDS_MPP)
    scan = begin_scan(slide, ("rbc",))
    field = measure_field(
        read_tile(slide, whole_field(slide), scan.smear.background_rgb), scan.stain
    )
    places = (np.loadtxt(path.with_suffix(".txt"), ndmin=2)[:, :2] * slide.mpp / field.mpp).astype(
        int
    )
    labels = field.labels[
        places[:, 1].clip(0, field.labels.shape[0] - 1),
        places[:, 0].clip(0, field.labels.shape[1] - 1),
    ]
    _, counts = np.unique(labels[labels > 0], return_counts=True)
    return Points(len(labels), int((labels > 0).sum()), len(field.reds), int((counts > 1).sum()))


def boxes_of(path: Path, leave_out: frozenset[str]) -> BoxScore:
    facts = json.loads(path.with_suffix("").with_suffix(".boxes.json").read_text())
    slide = open_slide(path, facts["mpp"])
    scan = begin_scan(slide, ("wbc", "platelet", "rbc"))
    tiles = (
        read_tile(slide, spec, scan.smear.background_rgb)
        for spec in plan_tiles(slide, scan.looked_at)
    )
    found = [
        cell.box_px0
        for tile in tiles
        for cell in find_cells(tile, scan.stain, slide.slide_id, ("rbc",))
    ]
    truth = [
        tuple(box[name] for name in ("x0", "y0", "x1", "y1"))
        for box in facts["boxes"]
        if box["label"] not in leave_out
    ]
    inside = (np.array([box for box in boxes if is_inside(box, facts)]) for boxes in (found, truth))
    return score_boxes(*inside)


def is_inside(box: tuple[int, int, int, int], facts: dict) -> bool:
    margin = BORDER_UM / facts["mpp"]
    starts = [(box[i] + box[i + 2]) / 2 // side * side for i, side in enumerate(facts["field"])]
    return all(
        box[i] - start > margin and start + side - box[i + 2] > margin
        for i, (start, side) in enumerate(zip(starts, facts["field"], strict=True))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    table = Table("field", "points", "recall", "outlines", "with two")
    rows = {
        path.stem: points_of(path)
        for path in sorted((data / "chula-fields" / "labelled").glob("*.jpg"))
    }
    sums = np.array([(p.points, p.held, p.outlines, p.crowded) for p in rows.values()]).sum(axis=0)
    for name, row in (*rows.items(), ("all", Points(*map(int, sums)))):
        shares = f"{row.held / row.points:.4f}", f"{row.crowded / row.outlines:.4f}"
        table.add_row(name, str(row.points), shares[0], str(row.outlines), shares[1])
    Console().print(table)
    for name, leave_out in (("bbbc041-fields", "leukocyte"), ("cbc-fields", "wbc platelet")):
        score = boxes_of(data / "slides" / f"{name}.tiff", frozenset(leave_out.split()))
        Console().print(
            f"{name}: F1 {score.f1:.4f}, precision {score.precision:.3f}, recall {score.recall:.3f}"
        )


if __name__ == "__main__":
    main()
