"""Alarms on slides of real cells, by patient: how many slides with blasts are found, and how many
normal ones alarm.

    python -m tests.tools.bench.alarms DATA --work DIR [--percents 5] [--portion 4] [--write]

DATA holds deepapl/normal and deepapl/anomaly as SET/CLASS/image. The patients are split into two
halves. A slide has 200 white cells in the composition of normal blood, laid into a smear by
`cytostream simulate` with their own surroundings, of patients of one half; of the slides with
blasts these are of one patient of that half. Each half is run with blasts taught from 20 cells of
the other half, so that no patient was taught from and tested on. The same command goes on where it
stopped, `--portion` slides at a time; without slides left it counts the alarms from the events.
What the model says without the taught class is counted from `standard_label` of the same events.
`--write` puts the figures where `cytostream alerts --expected` shows them.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from classify import SHIPPED, load_model
from classify.teaching import exact_interval
from stream.alerts import (
    AlertEvaluator,
    MeasuredAlarms,
    MeasuredFile,
    SlideTests,
    rare_classes,
)
from stream.alerts.expected import MEASURED
from stream.config import Alerts

NORMAL = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil")
SLIDES = 20
WHITE = 200
TAUGHT = 20
SIDE_PX = 3712
HALVES = (0, 1)
CONFIG = "share_names = true\n[red_cells]\njudged = 0\n[reading]\nworkers = 1\n"
screen = Console(width=140)


def patient_of(path):
    return path.name.partition("-")[0]


class Plan:
    """Which cells lie on which slide, and which are taught from; the same each time."""

    def __init__(self, data, work):
        self.work = work
        self.blasts = sorted((data / "deepapl/anomaly/blast").iterdir())
        self.normal = [p for name in NORMAL for p in (data / "deepapl/normal" / name).iterdir()]
        self.others = [p for p in (data / "deepapl/normal").rglob("*.webp")]
        patients = sorted({patient_of(p) for p in [*self.blasts, *self.others]})
        order = np.random.default_rng(0).permutation(len(patients))
        self.half = {patients[n]: place % 2 for place, n in enumerate(order)}
        self.counts = Counter(map(patient_of, self.blasts))
        self.sick = [name for name, _ in self.counts.most_common(SLIDES)]

    def of_half(self, paths, half):
        return sorted(p for p in paths if self.half[patient_of(p)] == half)

    def slides(self, percents):
        """Name, half, patient and per cent of every slide."""
        found = [(f"normal-{n:02d}", n % 2, "", 0) for n in range(SLIDES)]
        for percent in percents:
            found += [(f"{p}-{percent}", self.half[p], p, percent) for p in self.sick]
        return found


def linked(folder, paths):
    """A folder FOLDER/CLASS/image of links."""
    for path in paths:
        target = folder / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.symlink_to(path)
    return folder


def cytostream(*given):
    command = [str(Path(sys.executable).with_name("cytostream")), *map(str, given)]
    done = subprocess.run(command, env=os.environ, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


def teach(plan, half):
    """Blasts into the store of one half, from the patients of the other."""
    store = plan.work / f"store-{half}"
    if any(store.glob("taught/*.taught.json")):
        return
    folder = plan.work / f"taught-{half}"
    others = plan.of_half(plan.blasts, 1 - half)
    chosen = np.random.default_rng(1).permutation(len(others))[:TAUGHT]
    cells = linked(folder / "cells", [others[n] for n in chosen])
    normal = linked(folder / "normal", plan.of_half(plan.others, 1 - half))
    store.mkdir(exist_ok=True)
    told = cytostream(
        "teach", store, "--class", "blast", "--cells", cells, "--normal", normal, "--by", "bench"
    )
    screen.print(told, soft_wrap=True)


def make_slide(plan, number, slide):
    name, half, patient, percent = slide
    path = plan.work / "slides" / f"{name}.tiff"
    if path.exists() and path.with_name(f"{name}.made").exists():
        return path
    path.parent.mkdir(exist_ok=True)
    folders = ["--cells", linked(plan.work / f"normal-{half}", plan.of_half(plan.normal, half))]
    if patient:
        own = [p for p in plan.blasts if patient_of(p) == patient]
        folders += ["--cells", linked(plan.work / "sick" / patient, own)]
        folders += ["--per-100", f"blast={percent}"]
    size = "--width-px", SIDE_PX, "--height-px", SIDE_PX
    cytostream("simulate", path, *folders, *size, "--whites", WHITE, "--seed", number)
    path.with_name(f"{name}.made").touch()
    return path


def events_of(plan, half):
    path = plan.work / f"events-{half}.jsonl"
    return [json.loads(line) for line in path.open()] if path.exists() else []


def done_slides(plan):
    """The events of each finished slide, by its name."""
    found = {}
    for half in HALVES:
        events = events_of(plan, half)
        names = {
            event["data"]["slide_id"]: Path(event["data"]["name"]).stem
            for event in events
            if event["type"] == "cytostream.slide.v1" and event["data"]["status"] == "done"
        }
        for event in events:
            if name := names.get(event["data"].get("slide_id")):
                found.setdefault(name, []).append(event)
    return found


def run_portion(plan, slides, portion):
    """Makes and runs the next slides; False where none was left."""
    done = done_slides(plan)
    left = [(n, slide) for n, slide in enumerate(slides) if slide[0] not in done][:portion]
    for half in HALVES:
        mine = [make_slide(plan, n, slide) for n, slide in left if slide[1] == half]
        if not mine:
            continue
        teach(plan, half)
        config = plan.work / "bench.toml"
        config.write_text(CONFIG)
        sink = f"jsonl:{plan.work / f'events-{half}.jsonl'}"
        store = plan.work / f"store-{half}"
        cytostream("run", *mine, "--store", store, "--sink", sink, "--config", config)
    return bool(left)


def urgent(events):
    """Rules of the urgent alarms of a slide."""
    return [
        event["data"]["rule"]
        for event in events
        if event["type"] == "cytostream.slidealert.v1" and event["data"]["severity"] == "urgent"
    ]


def as_shipped(events, known):
    """The same without the taught class: the tests over what the model alone says."""
    cells = [event["data"] for event in events if event["type"] == "cytostream.cell.v1"]
    labels = [cell["standard_label"] or cell["label"] for cell in cells]
    counts = Counter(labels)
    white = sum(
        cell["kind"] == "wbc" and label != "other"
        for cell, label in zip(cells, labels, strict=True)
    )
    tests = SlideTests(rare_classes(Alerts(), known))
    at = AlertEvaluator(Alerts(), "bench", Counter(), tests=tests)
    return [a.rule for a in at.of_slide(counts, white, []) if a.severity == "urgent"]


def figures(plan, slides, known):
    """Rows of settings and per cents: slides, and those with an urgent alarm."""
    done = done_slides(plan)
    rows = []
    rules = Counter()
    for percent in sorted({slide[3] for slide in slides}):
        events = [done[name] for name, *_, share in slides if share == percent and name in done]
        taught = [urgent(one) for one in events]
        shipped = [as_shipped(one, known) for one in events]
        rules.update((percent, rule) for one in taught for rule in one)
        for setting, found in (("blast taught by 20", taught), ("as shipped", shipped)):
            alarms = sum(map(bool, found))
            rows.append(
                MeasuredAlarms(setting=setting, percent=percent, slides=len(found), alarms=alarms)
            )
    return rows, rules


def found_shares(plan, slides):
    """Share of blasts that are called so, by rule, from the truth beside each slide."""
    done = done_slides(plan)
    called = []
    for name, *_, percent in slides:
        if not percent or name not in done:
            continue
        truth = plan.work / "slides" / f"{name}.tiff.truth.jsonl"
        cells = [e["data"] for e in done[name] if e["type"] == "cytostream.cell.v1"]
        places = np.array([[cell["x_px0"], cell["y_px0"]] for cell in cells])
        for line in map(json.loads, truth.open()):
            if line["label"] == "blast":
                away = np.hypot(*(places - line["centre"]).T)
                near = cells[away.argmin()]
                called.append(near["standard_label"] if away.min() < 40 else "missed")
    share = Counter(called)
    total = max(1, len(called))
    return {
        "blast": round(share["blast"] / total, 4),
        "blast+promyelocyte": round((share["blast"] + share["promyelocyte"]) / total, 4),
    }


def show(rows, rules):
    table = Table("as", "blasts", "slides", "with an urgent alarm", "95 % interval")
    for row in rows:
        low, high = exact_interval(row.alarms, row.slides) if row.slides else (0.0, 1.0)
        share = f"{low:.2f} to {high:.2f}"
        table.add_row(row.setting, f"{row.percent:g} %", str(row.slides), str(row.alarms), share)
    screen.print(table)
    for (percent, rule), count in sorted(rules.items()):
        screen.print(f"  {percent:g} %: {rule} on {count} slides")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--percents", type=int, nargs="*", default=[5])
    parser.add_argument("--portion", type=int, default=10_000, help="slides to run this time")
    parser.add_argument("--write", action="store_true", help=f"write {MEASURED.name}")
    given = parser.parse_args()
    if not (given.data / "deepapl/anomaly/blast").is_dir():
        screen.print(f"skipped: {given.data} has no deepapl/anomaly/blast")
        return
    given.work.mkdir(parents=True, exist_ok=True)
    plan = Plan(given.data.resolve(), given.work.resolve())
    slides = plan.slides(given.percents)
    run_portion(plan, slides, given.portion)
    model = load_model(SHIPPED)
    rows, rules = figures(plan, slides, model.card.classes)
    show(rows, rules)
    if given.write:
        made = MeasuredFile(
            model_id=model.model_id,
            command=f"python -m tests.tools.bench.alarms DATA --work DIR --percents "
            f"{' '.join(map(str, given.percents))}",
            slides=f"simulated slides of {WHITE} white cells of deepapl, by patient",
            white=WHITE,
            found=found_shares(plan, slides),
            rows=tuple(row for row in rows if row.slides),
        )
        MEASURED.write_text(made.model_dump_json(indent=1) + "\n")


if __name__ == "__main__":
    main()
