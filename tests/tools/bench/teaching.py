"""What a few taught cells are worth, by patient: the table of taught classes.

    python -m tests.tools.bench.teaching DATA --work DIR [--model MODEL] [--draws 20]

DATA holds deepapl/normal, deepapl/anomaly, raabin, jtsc, lisc and cellavision-blog as
SET/CLASS/image. Each draw splits the
patients of deepapl (the beginning of a file's name) into two halves, teaches from cells of one half
with its normal cells as the rest, and measures on both kinds of cells of the other half. Of raabin
and jtsc, whose patients are not known, reviewed cells are drawn a class, at most half of it, and
the others are measured on. Last, fifty cells reviewed in the order of the page (`review_order`)
stand beside fifty taken at random, from four in five cells of a set, measured on all that were
not reviewed; a set of fewer than 100 cells has twenty reviewed. Intervals hold 95 of 100 draws.
Verdicts are kept in the work folder.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from classify import SHIPPED, CropFolder, judge, load_model, open_engine
from classify.evaluation.metrics import auc
from classify.teaching import Lesson, review_order, teach_class
from classify.teaching.crossvalidation import SPECIFICITY
from classify.teaching.head import fit_head

COUNTS = (5, 10, 20)
BESIDE = ("plasma", "variant-lymphocyte", "smudge", "promonocyte", "promyelocyte")
LEAST_HELD_OUT = 5
POOL_SHARE = 0.8
LOOKS, FEW_LOOKS, SMALL_SET = 50, 20, 100
screen = Console(width=140)


@dataclass(frozen=True, eq=False)
class JudgedCells:
    """Features (n, F), class names, patients and the model's own probabilities by class (n, K)."""

    features: np.ndarray
    names: np.ndarray
    patients: np.ndarray
    scores: np.ndarray
    parents: np.ndarray

    def part(self, chosen):
        columns = (self.features, self.names, self.patients, self.scores, self.parents)
        return JudgedCells(*(column[chosen] for column in columns))


def judged_cells(model, engine, data, name, work):
    """A set as the judge sees it, from the disk where it has been judged before."""
    kept = work / f"{model.model_id}-{engine.precision}-{name.replace('/', '-')}.npz"
    if not kept.exists():
        folder = CropFolder(data / name, model.card.crop_px)
        bar = track(folder, total=len(folder.paths), description=name, console=Console(stderr=True))
        found = sorted(judge(bar, engine, model), key=lambda pair: pair[0])
        np.savez(
            kept,
            features=[verdict.features for _, verdict in found],
            names=[path.parent.name for path, _ in found],
            patients=[path.name.partition("-")[0] for path, _ in found],
            scores=[list(verdict.scores.values()) for _, verdict in found],
            parents=[verdict.parent for _, verdict in found],
        )
    with np.load(kept) as columns:
        return JudgedCells(**columns)


def found_at(normal, cells):
    """Share of cells above what 96 in 100 normal cells stay below."""
    return (cells > np.quantile(normal, SPECIFICITY, method="higher")).mean()


def separated(normal, cells):
    """AUC and sensitivity of scores of normal cells and of cells of the class."""
    both = np.concatenate([normal, cells])
    return auc(both, np.arange(len(both)) >= len(normal)), found_at(normal, cells)


def of_patients(model, cells, normal, count, draws, standard=None):
    """AUC and sensitivity (draws, 2) on patients that were not taught from; `standard` is the
    column of the model's own class, for none taught.
    """
    patients = np.unique(np.concatenate([cells.patients, normal.patients]))
    rows = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        taught_from = rng.permutation(patients)[: len(patients) // 2]
        here, around = (np.isin(part.patients, taught_from) for part in (cells, normal))
        if here.sum() < count or (~here).sum() < LEAST_HELD_OUT:
            continue
        new, rest = cells.part(~here), normal.part(~around)
        if count == 0:
            rows.append(separated(rest.scores[:, standard], new.scores[:, standard]))
            continue
        chosen = cells.part(rng.permutation(np.flatnonzero(here))[:count])
        known = normal.part(around)
        groups = tuple(chosen.patients), tuple(known.patients)
        lesson = Lesson(chosen.features, known.features, *groups)
        digests = tuple(map(str, range(count))), ()
        head = teach_class(model, "taught", lesson, digests, "name")
        rows.append(separated(head.log_odds(rest.features), head.log_odds(new.features)))
    return np.array(rows)


def shown(values):
    low, high = np.quantile(values, (0.025, 0.975))
    return f"{np.mean(values):.3f} ({low:.3f} to {high:.3f})"


def taught_table(model, cells, normal, draws):
    table = Table("class", "taught cells", "AUC", "found at 4 % false", "draws")
    blasts = cells.part(cells.names == "blast")
    standard = model.card.classes.index("blast") if "blast" in model.card.classes else None
    counts = (0, *COUNTS) if standard is not None else COUNTS
    for count in counts:
        add_row(table, "blast", count, of_patients(model, blasts, normal, count, draws, standard))
    for name in BESIDE:
        some = cells.part(cells.names == name)
        add_row(table, name, 10, of_patients(model, some, normal, 10, draws))
    screen.print(table)


def add_row(table, name, count, rows):
    if len(rows):
        table.add_row(name, str(count), shown(rows[:, 0]), shown(rows[:, 1]), str(len(rows)))
    else:
        table.add_row(name, str(count), "too few cells", "", "0")


def balanced(cells, chosen):
    """Balanced accuracy on the cells not chosen, of heads of the classes among the chosen ones,
    each taught against the others; a class that is not among them is never right.
    """
    is_known = np.isin(np.arange(len(cells.names)), chosen)
    known, new = cells.part(is_known), cells.part(~is_known)
    taught = np.unique(known.names)
    if len(taught) < 2:
        return 0.0
    odds = np.stack([odds_of(known, new, kind) for kind in taught], axis=1)
    called = taught[odds.argmax(axis=1)]
    return np.mean([(called[new.names == kind] == kind).mean() for kind in np.unique(new.names)])


def ordered(cells, looks, draws):
    """Balanced accuracy (draws, 2) after so many looks: in the order of the page, and at random."""
    rows = []
    for seed in range(draws):
        order = np.random.default_rng(seed).permutation(len(cells.names))
        pool = order[: int(POOL_SHARE * len(order))]
        by_value = pool[review_order(cells.features[pool], count=looks)]
        rows.append((balanced(cells, by_value), balanced(cells, pool[:looks])))
    return np.array(rows)


def ordered_table(sets, draws):
    table = Table("set", "cells", "looks", "in the page's order", "at random", "ahead in draws")
    for name, cells in sets.items():
        size = len(cells.names)
        looks = LOOKS if size >= SMALL_SET else FEW_LOOKS
        rows = ordered(cells, looks, draws)
        ahead = f"{(rows[:, 0] > rows[:, 1]).sum()} of {len(rows)}"
        table.add_row(name, str(size), str(looks), shown(rows[:, 0]), shown(rows[:, 1]), ahead)
    screen.print(table)


def reviewed(cells, count, draws):
    """Balanced accuracy (draws,) of heads of all classes, each taught against the others."""
    kinds = np.unique(cells.names)
    rows = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        chosen = np.zeros(len(cells.names), bool)
        for kind in kinds:
            members = rng.permutation(np.flatnonzero(cells.names == kind))
            chosen[members[: min(count, len(members) // 2)]] = True
        known, new = cells.part(chosen), cells.part(~chosen)
        taught = [kind for kind in kinds if kind in known.names]
        odds = np.stack([odds_of(known, new, kind) for kind in taught], axis=1)
        called = np.array(taught)[odds.argmax(axis=1)]
        rows.append(np.mean([(called[new.names == kind] == kind).mean() for kind in taught]))
    return np.array(rows)


def odds_of(known, new, kind, penalty=0.3):
    is_kind = known.names == kind
    head = fit_head(known.features[is_kind], known.features[~is_kind], penalty)
    return head.evidence(new.features)


def reviewed_table(sets, draws):
    table = Table("set", "reviewed cells a class", "balanced accuracy", "cells a class")
    for name, cells in sets.items():
        kinds, sizes = np.unique(cells.names, return_counts=True)
        before = np.mean([(cells.parents[cells.names == k] == k).mean() for k in kinds])
        about = ", ".join(f"{kind} {size}" for kind, size in zip(kinds, sizes, strict=True))
        table.add_row(name, "0", f"{before:.3f}", about)
        for count in COUNTS:
            table.add_row(name, str(count), shown(reviewed(cells, count, draws)), "")
    screen.print(table)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=SHIPPED)
    parser.add_argument("--draws", type=int, default=20)
    given = parser.parse_args()
    needed = ("deepapl/anomaly", "deepapl/normal", "raabin", "jtsc", "lisc", "cellavision-blog")
    missing = [name for name in needed if not (given.data / name).is_dir()]
    if missing:
        screen.print(f"skipped: {given.data} has no {', '.join(missing)}")
        return
    given.work.mkdir(parents=True, exist_ok=True)
    model = load_model(given.model)
    engine = open_engine(model, "openvino")
    sets = {name: judged_cells(model, engine, given.data, name, given.work) for name in needed}
    screen.print(f"model {model.card.name} {model.model_id}, {engine.precision}")
    taught_table(model, sets["deepapl/anomaly"], sets["deepapl/normal"], given.draws)
    reviewed_table({name: sets[name] for name in ("raabin", "jtsc")}, given.draws)
    ordered_table(sets, given.draws)


if __name__ == "__main__":
    main()
