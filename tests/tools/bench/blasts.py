"""How well blasts are told from normal cells of their own laboratory: `python -m
tests.tools.bench.blasts DATA [--model M]`.

deepapl/normal against deepapl/anomaly/blast, as the judge ends: AUC and the share caught at
specificities of .96 and .99, by the probability of a blast and by that with the classes beside it
left out (`search for blast`), with 95 % bootstrap intervals; promyelocytes called promyelocyte or
blast, and normal cells called blast.
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from classify import SHIPPED, CropFolder, judge, load_model, open_engine
from classify.evaluation.metrics import auc
from classify.evaluation.scoring import search_scores

RESAMPLES = 500
screen = Console(width=120)


def verdicts(folder, engine, model):
    return list(judge(CropFolder(folder, model.card.crop_px), engine, model))


def probabilities(found, card):
    return np.array([[verdict.scores[name] for name in card.classes] for _, verdict in found])


def interval(measure, sick, well):
    """A figure of two groups' scores, and its 95 % interval."""
    rng = np.random.default_rng(0)
    drawn = [
        measure(
            sick[rng.integers(len(sick), size=len(sick))],
            well[rng.integers(len(well), size=len(well))],
        )
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return f"{measure(sick, well):.3f} [{low:.3f}, {high:.3f}]"


def area(sick, well):
    return auc(np.concatenate([sick, well]), np.arange(len(sick) + len(well)) < len(sick))


def caught_at(specificity):
    return lambda sick, well: float((sick > np.quantile(well, specificity)).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path, default=SHIPPED)
    args = parser.parse_args()
    model = load_model(args.model)
    card = model.card
    engine = open_engine(model)
    folders = {"normal": "normal", "blast": "anomaly/blast", "promyelocyte": "anomaly/promyelocyte"}
    found = {k: verdicts(args.data / "deepapl" / f, engine, model) for k, f in folders.items()}
    p = {name: probabilities(rows, card) for name, rows in found.items()}
    scores = {
        name: {"blast": rows[:, card.classes.index("blast")]}
        | search_scores(rows, card.classes, card.taxonomy)
        for name, rows in p.items()
    }
    table = Table("score", "AUC", "caught at .96", "caught at .99")
    for score in scores["blast"]:
        sick, well = scores["blast"][score], scores["normal"][score]
        figures = [interval(m, sick, well) for m in (area, caught_at(0.96), caught_at(0.99))]
        table.add_row(score, *figures)
    screen.print(table)
    for group, names in (("promyelocyte", ("promyelocyte", "blast")), ("normal", ("blast",))):
        share = np.mean([verdict.label in names for _, verdict in found[group]])
        screen.print(f"{group} called {' or '.join(names)}: {share:.3f} of {len(found[group])}")


if __name__ == "__main__":
    main()
