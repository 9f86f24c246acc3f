"""`python -m tests.tools.bench.parasites DATA --work DIR`: what the anomaly score of the red-cell
model does on red cells with malaria parasites, against the other red cells of the same fields
(BBBC041). Parasites are no class of the model, and malaria is not claimed.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from rich.console import Console
from rich.table import Table

from classify.evaluation.metrics import auc, interval, sensitivity

SIDE_UM = 15.2
NORMAL = "red blood cell"
LEFT_OUT = "leukocyte"
RESAMPLES = 1000


def cut(data: Path, work: Path) -> float:
    """Writes a crop of each box as WORK/LABEL/number.png; gives their scale in um a pixel."""
    kept = json.loads((data / "slides" / "bbbc041-fields.boxes.json").read_text())
    side = round(SIDE_UM / kept["mpp"])
    pixels = tifffile.imread(data / "slides" / "bbbc041-fields.tiff", level=0)
    edge = np.pad(pixels, ((side, side), (side, side), (0, 0)), mode="reflect")
    for number, box in enumerate(kept["boxes"]):
        path = work / box["label"] / f"{number}.png"
        if path.exists() or box["label"] == LEFT_OUT:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        x = (box["x0"] + box["x1"] + side) // 2
        y = (box["y0"] + box["y1"] + side) // 2
        Image.fromarray(edge[y : y + side, x : x + side]).save(path)
    return kept["mpp"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    mpp = cut(options.data, options.work / "cells")
    told = options.work / "verdicts.jsonl"
    given = ["--model", "red", "--mpp", str(mpp), "--json", str(told)]
    command = [sys.executable, "-m", "stream.cli", "classify", str(options.work / "cells"), *given]
    subprocess.run(command, check=True)
    rows = [json.loads(line) for line in told.read_text().splitlines()]
    truth = np.array([Path(row["path"]).parent.name for row in rows])
    scores = np.array([row["anomaly"]["score"] for row in rows])
    console = Console()
    table = Table("cells", "n", "AUC of the anomaly score", "at 1 % false alarms", "called")
    kinds = [*sorted(set(truth) - {NORMAL}), "parasitised"]
    for kind in kinds:
        mine = truth != NORMAL if kind == "parasitised" else truth == kind
        chosen = mine | (truth == NORMAL)
        called = Counter(row["label"] for row, own in zip(rows, mine, strict=True) if own)
        table.add_row(
            kind,
            str(mine.sum()),
            shown_auc(scores[chosen], mine[chosen]),
            f"{sensitivity(scores[chosen], mine[chosen]):.2f}",
            "  ".join(f"{name} {n}" for name, n in called.most_common(3)),
        )
    normal = Counter(row["label"] for row, name in zip(rows, truth, strict=True) if name == NORMAL)
    console.print(table)
    words = "  ".join(f"{name} {n}" for name, n in normal.most_common(5))
    console.print(f"{(truth == NORMAL).sum()} other red cells, called: {words}")


def shown_auc(scores: np.ndarray, odd: np.ndarray) -> str:
    """AUC with its 95 % bootstrap interval."""
    value, low, high = interval(lambda i: auc(scores[i], odd[i]), odd, RESAMPLES)
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
