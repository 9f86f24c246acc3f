"""Alarms on slides of real cells, by patient: how many slides with blasts are found, and how many
normal ones alarm.

    python -m tests.tools.bench.alarms DATA --work DIR [--percents 5] [--portion 4]
    python -m tests.tools.bench.alarms DATA --work DIR --crops [--percents 2 5 10 20] [--write]

DATA holds deepapl/normal and deepapl/anomaly as SET/CLASS/image. The patients are split into two
halves. A slide has 200 white cells in the composition of normal blood, laid into a smear by
`cytostream simulate` with their own surroundings, of patients of one half; of the slides with
blasts these are of one patient of that half. Each half is run with blasts taught from 20 cells of
the other half, so that no patient was taught from and tested on. The same command goes on where it
stopped, `--portion` slides at a time; without slides left it counts the alarms from the events.
Beside the alarms of the run's own events stand those of the same cells without the taught class
(`standard_label`), and those with the background that the other normal slides of the half give
once people have signed for them.
With `--crops` the slides are not laid into smears: each crop is judged once, and the slides are
made of the verdicts, ten of each kind, which takes a minute. `--write` puts these figures where
`cytostream alerts --expected` shows them.
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from classify import SHIPPED, Verdict, judge, load_model, open_engine, read_crop
from classify.teaching import Lesson, TaughtJudge, TaughtLibrary, exact_interval, teach_class
from stream.alerts import (
    AlertEvaluator,
    MeasuredAlarms,
    MeasuredFile,
    SignedSlide,
    SlideTests,
    rare_classes,
)
from stream.alerts.expected import MEASURED
from stream.cli.commands.simulate import cell_counts
from stream.config import Alerts

NORMAL = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil")
SLIDES = 20
WHITE = 200
TAUGHT = 20
SIDE_PX = 3712
REDS = 0.1  # generated ones; the crops have their own
HALVES = (0, 1)
REPEATS = 10  # of slides that are made of verdicts
SIGNED = 10
SHIPPED_AS = "as shipped"
TAUGHT_AS = f"blast taught by {TAUGHT}"
SIGNED_AS = f"{TAUGHT_AS}, background of signed normal slides"
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
        """Name, half, patient and per cent of every slide; normal ones between the first others."""
        normal = [(f"normal-{n:02d}", n % 2, "", 0) for n in range(SLIDES)]
        first, *rest = (
            [(f"{p}-{percent}", self.half[p], p, percent) for p in self.sick]
            for percent in percents
        )
        mixed = [slide for pair in zip(normal, first, strict=True) for slide in pair]
        return [*mixed, *(slide for more in rest for slide in more)]


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
    cytostream(
        "simulate", path, *folders, *size, "--whites", WHITE, "--reds", REDS, "--seed", number
    )
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


@dataclass(frozen=True)
class CountedSlide:
    """White cells of a slide, how the machine called them, and the evaluator that has seen them."""

    white: int
    counts: Counter
    evaluator: AlertEvaluator

    def alarms(self):
        """Rules of its urgent alarms."""
        found = self.evaluator.of_slide(self.counts, self.white, [])
        return [alert.rule for alert in found if alert.severity == "urgent"]

    def signed(self):
        """What is known once a person has signed for it as normal."""
        return SignedSlide(self.counts, Counter(), self.evaluator.above)


def counted(events, rare, standard=False):
    """The cells of a slide's events under other tests; `standard`: without taught classes."""
    evaluator = AlertEvaluator(Alerts(), "bench", Counter(), tests=SlideTests(rare))
    counts = Counter()
    white = 0
    for cell in (e["data"] for e in events if e["type"] == "cytostream.cell.v1"):
        label = (standard and cell["standard_label"]) or cell["label"]
        counts[label] += 1
        white += cell["kind"] == "wbc" and label != "other"
        evaluator.note_likely(cell["kind"], label, cell["scores"], cell["cell_id"])
    return CountedSlide(white, counts, evaluator)


def with_background(plan, slides, known):
    """Urgent alarms of each finished slide, where the laboratory has signed for the other normal
    slides of the same half.
    """
    done = done_slides(plan)
    found = {}
    for half in HALVES:
        mine = [slide for slide in slides if slide[1] == half and slide[0] in done]
        if not mine:
            continue
        taught = list(TaughtLibrary(plan.work / f"store-{half}" / "taught").newest().values())
        plain = rare_classes(Alerts(), known, taught)
        normal = {
            name: counted(done[name], plain).signed() for name, *_, percent in mine if not percent
        }
        for name, *_ in mine:
            signed = [slide for other, slide in normal.items() if other != name]
            rare = rare_classes(Alerts(), known, taught, signed)
            found[name] = counted(done[name], rare).alarms()
    return found


def figures(plan, slides, known):
    """Rows of settings and per cents: slides, and those with an urgent alarm."""
    done = done_slides(plan)
    background = with_background(plan, slides, known)
    shipped = rare_classes(Alerts(), known)
    rows = []
    rules = Counter()
    for percent in sorted({slide[3] for slide in slides}):
        names = [name for name, *_, share in slides if share == percent and name in done]
        taught = [urgent(done[name]) for name in names]
        rules.update((percent, rule) for one in taught for rule in one)
        settings = {
            SHIPPED_AS: [counted(done[n], shipped, standard=True).alarms() for n in names],
            TAUGHT_AS: taught,
            SIGNED_AS: [background[n] for n in names],
        }
        for setting, found in settings.items():
            alarms = sum(map(bool, found))
            rows.append(
                MeasuredAlarms(setting=setting, percent=percent, slides=len(found), alarms=alarms)
            )
    return rows, rules


@dataclass(frozen=True)
class Crop:
    """A judged crop: path, verdict."""

    path: Path
    verdict: Verdict


def judged_crops(plan, model):
    """Every crop that a slide may be made of, or a lesson, through the model; kept on the disk."""
    kept = plan.work / f"crops-{model.model_id}.pkl"
    if not kept.exists():
        engine = open_engine(model, "openvino")
        paths = [*plan.blasts, *plan.others]
        crops = ((path, read_crop(path, model.card.crop_px)) for path in paths)
        bar = track(crops, total=len(paths), description="judging", console=Console(stderr=True))
        kept.write_bytes(pickle.dumps(dict(judge(bar, engine, model))))
    found = pickle.loads(kept.read_bytes())
    return {path: Crop(path, verdict) for path, verdict in found.items()}


def lesson_of(plan, crops, half):
    """The lesson of one half, as `teach` is given it: blasts and normal cells of the other."""
    others = plan.of_half(plan.blasts, 1 - half)
    chosen = np.random.default_rng(1).permutation(len(others))[:TAUGHT]
    cells = [others[n] for n in chosen]
    normal = plan.of_half(plan.others, 1 - half)
    features = [np.array([crops[p].verdict.features for p in part]) for part in (cells, normal)]
    return Lesson(*features, *(tuple(map(patient_of, part)) for part in (cells, normal)))


def drawn_slide(plan, half, patient, percent, rng):
    """Paths of the white cells of a slide, in the composition of normal blood beside the blasts."""
    pools = {}
    for path in plan.of_half(plan.normal, half):
        pools.setdefault(path.parent.name, []).append(path)
    shares = {"blast": float(percent)} if patient else {}
    if patient:
        pools["blast"] = [p for p in plan.blasts if patient_of(p) == patient]
    paths = []
    for name, count in cell_counts(shares, sorted(pools), WHITE).items():
        order = rng.permutation(len(pools[name]))
        paths += [pools[name][order[n % len(order)]] for n in range(count)]
    return paths


def counted_verdicts(verdicts, rare, standard=False):
    """The cells of a slide made of verdicts, under some tests."""
    evaluator = AlertEvaluator(Alerts(), "bench", Counter(), tests=SlideTests(rare))
    counts = Counter()
    for number, verdict in enumerate(verdicts):
        label = (standard and verdict.standard_label) or verdict.label
        counts[label] += 1
        evaluator.note_likely("wbc", label, verdict.scores, f"{number:04x}")
    return CountedSlide(len(verdicts) - counts["other"], counts, evaluator)


def crop_figures(plan, model, percents):
    """Rows of settings and per cents over slides that are made of verdicts."""
    crops = judged_crops(plan, model)
    known = model.card.classes
    shipped = rare_classes(Alerts(), known)
    alarms = Counter()
    slides = Counter()
    for half in HALVES:
        lesson = lesson_of(plan, crops, half)
        digests = tuple(map(str, range(TAUGHT))), ()
        taught = teach_class(model, "blast", lesson, digests, "name")
        judged = {p: TaughtJudge([taught]).verdict(crop.verdict) for p, crop in crops.items()}
        plain = rare_classes(Alerts(), known, [taught])
        rng = np.random.default_rng(half)
        sick = [name for name in plan.sick if plan.half[name] == half]
        signed = [
            counted_verdicts(
                [judged[p] for p in drawn_slide(plan, half, "", 0, rng)], plain
            ).signed()
            for _ in range(SIGNED)
        ]
        after = rare_classes(Alerts(), known, [taught], signed)
        for percent in (0, *percents):
            for name in sick if percent else [""] * len(sick):
                for _ in range(REPEATS):
                    paths = drawn_slide(plan, half, name, percent, rng)
                    verdicts = [judged[p] for p in paths]
                    slides[percent] += 1
                    for setting, slide in (
                        (SHIPPED_AS, counted_verdicts(verdicts, shipped, standard=True)),
                        (TAUGHT_AS, counted_verdicts(verdicts, plain)),
                        (SIGNED_AS, counted_verdicts(verdicts, after)),
                    ):
                        alarms[setting, percent] += bool(slide.alarms())
    return [
        MeasuredAlarms(
            setting=setting,
            percent=percent,
            slides=slides[percent],
            alarms=alarms[setting, percent],
        )
        for percent in (0, *percents)
        for setting in (SHIPPED_AS, TAUGHT_AS, SIGNED_AS)
    ]


def crop_shares(plan, model):
    """Share of blasts that the model calls so, by rule."""
    crops = judged_crops(plan, model)
    called = Counter(crops[p].verdict.label for p in plan.blasts)
    total = len(plan.blasts)
    return {
        "blast": round(called["blast"] / total, 4),
        "blast+promyelocyte": round((called["blast"] + called["promyelocyte"]) / total, 4),
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
    parser.add_argument("--crops", action="store_true", help="slides of verdicts, no smears")
    parser.add_argument("--write", action="store_true", help=f"write {MEASURED.name}")
    given = parser.parse_args()
    if not (given.data / "deepapl/anomaly/blast").is_dir():
        screen.print(f"skipped: {given.data} has no deepapl/anomaly/blast")
        return
    given.work.mkdir(parents=True, exist_ok=True)
    plan = Plan(given.data.resolve(), given.work.resolve())
    model = load_model(SHIPPED)
    if given.crops:
        rows = crop_figures(plan, model, given.percents)
        show(rows, Counter())
        if given.write:
            write_measured(plan, model, given.percents, rows)
        return
    slides = plan.slides(given.percents)
    run_portion(plan, slides, given.portion)
    show(*figures(plan, slides, model.card.classes))


def write_measured(plan, model, percents, rows):
    made = MeasuredFile(
        model_id=model.model_id,
        command="python -m tests.tools.bench.alarms DATA --work DIR --crops --percents "
        f"{' '.join(map(str, percents))} --write",
        slides=f"slides of {WHITE} white cells of deepapl, by patient",
        white=WHITE,
        found=crop_shares(plan, model),
        rows=tuple(rows),
    )
    MEASURED.write_text(made.model_dump_json(indent=1) + "\n")


if __name__ == "__main__":
    main()
