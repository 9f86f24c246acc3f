"""What the morphology attributes are worth: `python -m tests.tools.bench.attributes DATA [--model
M]`.

Macro-F1 of each attribute on WBCAtt's test split (Tsutsui et al. 2023), over the images of it that
lie in pbc/train and pbc/val, with a 95 % bootstrap interval of the mean; no attribute of these
images was trained on.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from classify import SHIPPED, load_model, open_engine, to_input
from classify.explain import attributes_of
from classify.image_folder import image_paths, read_crop

PART = 256
RESAMPLES = 500
screen = Console(width=120)


def macro_f1(true, said, values):
    """Mean F1 over the values that occur."""
    scores = []
    for value in range(values):
        hit = ((true == value) & (said == value)).sum()
        total = (true == value).sum() + (said == value).sum()
        if (true == value).any():
            scores.append(2 * hit / total)
    return float(np.mean(scores))


def rows_of(data, card):
    """Paths and value numbers (n, attributes) of the test split's images."""
    paths = {path.stem: path for path in image_paths(data / "pbc")}
    with (data / "wbcatt" / "test.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if Path(row["img_name"]).stem in paths]
    found = [paths[Path(row["img_name"]).stem] for row in rows]
    numbers = [[v.index(row[name]) for name, v in card.attributes.items()] for row in rows]
    return found, np.array(numbers)


def probabilities(engine, model, paths):
    card, parts = model.card, []
    for start in range(0, len(paths), PART):
        crops = np.stack([read_crop(path, card.crop_px) for path in paths[start : start + PART]])
        images = to_input(crops, card.window_px, card.image_px, card.white)
        parts.append(attributes_of(engine, model, images))
    return np.concatenate(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path, default=SHIPPED)
    args = parser.parse_args()
    model = load_model(args.model)
    paths, true = rows_of(args.data, model.card)
    said = probabilities(open_engine(model), model, paths)
    sizes = [len(values) for values in model.card.attributes.values()]
    parts = np.split(said, np.cumsum(sizes)[:-1], axis=1)
    called = np.stack([part.argmax(axis=1) for part in parts], axis=1)

    def scores(rows):
        return [macro_f1(true[rows, i], called[rows, i], n) for i, n in enumerate(sizes)]

    rng = np.random.default_rng(0)
    means = [np.mean(scores(rng.integers(len(true), size=len(true)))) for _ in range(RESAMPLES)]
    table = Table("attribute", "macro-F1", "accuracy", title=f"{len(paths)} images")
    whole = scores(np.arange(len(true)))
    for i, name in enumerate(model.card.attributes):
        right = (true[:, i] == called[:, i]).mean()
        table.add_row(name, f"{whole[i]:.3f}", f"{right:.3f}")
    low, high = np.quantile(means, (0.025, 0.975))
    table.add_row("mean", f"{np.mean(whole):.3f} [{low:.3f}, {high:.3f}]", "")
    screen.print(table)


if __name__ == "__main__":
    main()
