"""`python -m tests.tools.bench.red_slides DATA --work DIR`: what `cytostream run` says of the red
cells of fields of patients with a known diagnosis, each field a slide, and of slides of normal
cells: the leading finding, shares of the kinds, alerts.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from stream.alerts.red_cell_rules import red_alerts
from stream.config import Alerts, RedCells

FINDINGS = {
    "hereditary-elliptocytosis": {"elliptocyte"},
    "hereditary-spherocytosis": {"spherocyte"},
    "iron-deficiency": {"hypochromic", "microcyte"},
    "megaloblastic": {"macrocyte"},
    "thalassemia": {"target-cell", "teardrop", "schistocyte"},
}
COARSE = "hereditary-spherocytosis"  # its fields are at half the scale of the others
MPP, COARSE_MPP = 0.095, 0.19
NORMAL = ("cbc-fields", "bbbc041-fields")
SHOWN = 4


def run_slides(paths: list[Path], mpp: float | None, store: Path, model: str) -> Iterator[dict]:
    """What the command says of each slide at its end."""
    scale = ["--mpp", str(mpp)] if mpp else []
    options = ["--store", str(store), "--sink", "none", "--red-model", model, "--json"]
    command = [sys.executable, "-m", "stream.cli", "run", *map(str, paths), *scale, *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    for line in done.stdout.splitlines():
        yield json.loads(line)


def said(report: dict) -> str:
    """The most frequent kinds of a slide, and its alerts."""
    red = report.get("red_cells") or {}
    kinds = [
        f"{name} {share['percent']:.0f}"
        for name, share in red.get("kinds", {}).items()
        if name not in ("anisocytosis", "poikilocytosis")
    ]
    alerts = [alert.rule for alert in red_alerts(red, Alerts(), RedCells(), "")] if red else []
    return "  ".join([*kinds[:SHOWN], f"anomalous {red.get('anomalous')}", *alerts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", default="red")
    parser.add_argument("--only", default="", help="diseases or normal")
    options = parser.parse_args()
    table = Table("slide", "right", "judged", "leading", "kinds, % of judged; alerts")
    right = slides = 0
    for disease, expected in FINDINGS.items() if options.only != "normal" else ():
        paths = sorted((options.data / "chula-fields" / "diseases" / disease).glob("*.jpg"))
        mpp = COARSE_MPP if disease == COARSE else MPP
        for report in run_slides(paths, mpp, options.work / disease, options.model):
            red = report.get("red_cells") or {}
            is_right = red.get("leading") in expected
            right, slides = right + is_right, slides + 1
            name = f"{disease} {Path(report.get('path', '?')).stem}"
            row = (str(red.get("judged", "-")), str(red.get("leading")), said(report))
            table.add_row(name, "yes" if is_right else "no", *row)
    for name in NORMAL if options.only != "diseases" else ():
        path = options.data / "slides" / f"{name}.tiff"
        for report in run_slides([path], None, options.work / name, options.model):
            red = report.get("red_cells") or {}
            table.add_row(
                name, "", str(red.get("judged", "-")), str(red.get("leading")), said(report)
            )
    Console(width=160).print(table)
    Console().print(f"the right leading finding: {right} of {slides}")


if __name__ == "__main__":
    main()
