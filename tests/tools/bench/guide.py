"""What the errors, the guide and both together say of each set: `python -m tests.tools.bench.guide
DATA [--model M] [--draws N]`.

Accuracy at the level of the parents after so many draws of the model's list, with a 95 % bootstrap
interval; the guide is the linear layer over the features that training had beside the errors, its
logits averaged over the same draws; both together multiply the two probabilities before the prior.
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import softmax

from classify import SHIPPED, load_model, open_engine, to_input
from classify.engines import draw_errors_and_features
from classify.evaluation.metrics import interval
from classify.image_folder import image_paths, read_crop
from classify.pixels import turned
from classify.rule import class_parents, posterior, within

SETS = ("pbc/val", "raabin", "deepapl/normal", "lisc", "jtsc", "cellavision-blog")
RESAMPLES = 1000
screen = Console(width=120)


def evidence(folder, engine, model, draws):
    """Labels (n,) of the folders, and the log-probabilities (n, K) without prior of errors and
    guide.
    """
    card = model.card
    paths = image_paths(folder)
    crops = np.stack([read_crop(path, card.crop_px) for path in paths])
    images = to_input(crops, card.window_px, card.image_px, card.white)
    errors = []
    guided = []
    for draw in range(draws):
        numbers = np.full(len(images), draw)
        seen = turned(images, model.turn[draw])
        found, features = draw_errors_and_features(engine, model, seen, numbers)
        errors.append(found)
        guided.append(features @ model.guide[:-1] + model.guide[-1])
    flat = posterior(np.stack(errors, axis=1), model)[:, -1]
    by_errors = np.log(np.maximum(flat, 1e-300)) - model.bias
    return np.array([p.parent.name for p in paths]), by_errors, np.mean(guided, axis=0)


def right_of(logits, labels, model):
    """Which cells (n,) get the parent of their folder, by logits (n, K) without prior."""
    parents = class_parents(model)
    best = within(softmax(logits + model.bias, axis=1), parents.inside).argmax(axis=1)
    return np.array(parents.names)[best] == labels


def shown(right, labels):
    """The share that is right, and its 95 % interval, of cells drawn again within each label."""
    value, low, high = interval(lambda i: right[i].mean(), labels, RESAMPLES)
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path, default=SHIPPED)
    parser.add_argument("--draws", type=int, default=8)
    args = parser.parse_args()
    model = load_model(args.model)
    engine = open_engine(model)
    table = Table("set", "cells", "errors alone", "guide alone", "both")
    for name in SETS:
        labels, errors, guide = evidence(args.data / name, engine, model, args.draws)
        ways = (errors, guide, errors + guide)
        figures = [shown(right_of(logits, labels, model), labels) for logits in ways]
        table.add_row(name, str(len(labels)), *figures)
    screen.print(table)


if __name__ == "__main__":
    main()
