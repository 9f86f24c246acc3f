"""Pictures of an evaluation and of a training, as PNG bytes (needs matplotlib; the `train`
extra).
"""

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure as Canvas

from .metrics import BINS, risk_coverage

DPI = 110


def figure_png(canvas: Canvas) -> bytes:
    file = io.BytesIO()
    canvas.savefig(file, format="png", dpi=DPI, bbox_inches="tight", metadata={"Software": None})
    return file.getvalue()


def confusion_matrix(counts: dict[str, np.ndarray], classes: Sequence[str]) -> bytes:
    """Row-normalised confusion matrices (K, K), one a name, side by side."""
    canvas = Canvas(figsize=(5.2 * len(counts), 4.8), layout="constrained")
    for axes, (name, table) in zip(
        canvas.subplots(1, len(counts), squeeze=False)[0], counts.items(), strict=True
    ):
        share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for i, j in zip(*np.nonzero(table), strict=True):
            ink = "white" if share[i, j] > 0.5 else "black"
            axes.text(j, i, table[i, j], ha="center", va="center", fontsize=7, color=ink)
        axes.set_xticks(range(len(classes)), classes, rotation=60, ha="right")
        axes.set_yticks(range(len(classes)), classes)
        axes.set(title=name, xlabel="predicted", ylabel="labelled")
    return figure_png(canvas)


def roc(odd: dict[str, tuple[np.ndarray, np.ndarray]], title: str) -> bytes:
    """Receiver operating curves of (anomaly score (n,), anomalous (n,)) by name, false alerts on a
    logarithmic axis.
    """
    canvas = Canvas(figsize=(5, 4), layout="constrained")
    axes = canvas.subplots()
    for name, (score, anomalous) in odd.items():
        order = np.argsort(-score, kind="stable")
        caught = np.cumsum(anomalous[order]) / anomalous.sum()
        false = np.cumsum(~anomalous[order]) / (~anomalous).sum()
        axes.plot(np.maximum(false, 1e-3), caught, label=name)
    axes.axvline(0.01, color="grey", lw=0.7, ls=":")
    axes.set(xscale="log", xlim=(1e-3, 1), ylim=(0, 1), title=title)
    axes.set(xlabel="normal cells alarmed", ylabel="anomalous cells caught")
    axes.legend(fontsize=8)
    return figure_png(canvas)


def reliability(arms: dict[str, tuple[np.ndarray, np.ndarray]], title: str) -> bytes:
    """Accuracy against confidence in bins of equal mass, and risk against coverage, of (confidence
    (n,), right (n,)).
    """
    canvas = Canvas(figsize=(9, 4), layout="constrained")
    left, right_side = canvas.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="grey", lw=0.7)
    for name, (confidence, right) in arms.items():
        bins = np.array_split(np.argsort(confidence, kind="stable"), BINS)
        left.plot(
            [confidence[i].mean() for i in bins],
            [right[i].mean() for i in bins],
            "o-",
            ms=3,
            label=name,
        )
        risk = risk_coverage(confidence, right)
        right_side.plot(np.arange(1, len(risk) + 1) / len(risk), risk, label=name)
    left.set(xlabel="confidence", ylabel="share right", title=title)
    right_side.set(xlabel="coverage: share of cells named", ylabel="error rate among them")
    left.legend(fontsize=8)
    return figure_png(canvas)


def psychometric(
    arms: dict[str, tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]], title: str
) -> bytes:
    """Share right against confidence, with the fitted function, of (confidence (n,), right (n,),
    function) by name.
    """
    canvas = Canvas(figsize=(5, 4), layout="constrained")
    axes = canvas.subplots()
    x = np.linspace(0, 1, 200)
    for name, (confidence, right, function) in arms.items():
        bins = np.array_split(np.argsort(confidence, kind="stable"), BINS)
        (dots,) = axes.plot(
            [confidence[i].mean() for i in bins], [right[i].mean() for i in bins], "o", ms=3
        )
        axes.plot(x, function(x), color=dots.get_color(), label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="probability right", title=title)
    axes.legend(fontsize=8)
    return figure_png(canvas)


PlotLine = tuple[Sequence[float], Sequence[float]]


def curves(
    lines: Mapping[str, PlotLine], x: str, y: str, log_x: bool = False, dots: bool = False
) -> bytes:
    """Lines of (x, y) by name."""
    canvas = Canvas(figsize=(6, 4), layout="constrained")
    axes = canvas.subplots()
    for name, (across, up) in lines.items():
        axes.plot(across, up, "o-" if dots else "-", lw=1, ms=4, label=name)
    axes.set(xlabel=x, ylabel=y, xscale="log" if log_x else "linear")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure_png(canvas)


def image_sheet(rows: dict[str, np.ndarray], title: str = "") -> bytes:
    """8-bit images (n, px, px, 3), a row a name."""
    widest = max(map(len, rows.values()))
    canvas = Canvas(figsize=(0.62 * widest + 1.4, 0.66 * len(rows) + 0.3), layout="constrained")
    grid = canvas.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (name, images) in zip(grid, rows.items(), strict=True):
        axes.imshow(np.concatenate(list(images), axis=1), interpolation="bilinear")
        axes.set_yticks([images.shape[1] / 2], [name], fontsize=8)
        axes.set_xticks([])
        axes.tick_params(length=0)
    canvas.suptitle(title, fontsize=9)
    return figure_png(canvas)
