"""What the judge makes of its engine: the pairs/s it reaches beside those of the engine alone, and
what it costs beside a plain classifier of the same encoder, which takes one pass. Medians of runs
that take turns, so that a busy machine weighs on all alike.
"""

from time import perf_counter

import numpy as np
from rich.table import Table

from classify import judge, open_engine, to_input
from classify.engines import draw_errors_and_features

RUNS = 5
PAIRS = 256


def share_table(model, crops):
    """A row a quantity: median, least and most of the runs."""
    engine = open_engine(model, "openvino")
    plain_labels(engine, model, crops[:16])
    list(judge([(0, crops[0])], engine, model))
    found = [one_run(engine, model, crops) for _ in range(RUNS)]
    title = f"judge and engine, {len(crops)} cells, median of {RUNS} runs in turn"
    table = Table("quantity", "median", "least", "most", title=title)
    for name in found[0]:
        values = [run[name] for run in found]
        table.add_row(name, *(f"{f(values):.3g}" for f in (np.median, min, max)))
    return table


def one_run(engine, model, crops):
    draws = np.arange(PAIRS) % len(model.sigma)
    images = np.resize(seen(model, crops), (PAIRS, *model.noise.shape[1:]))
    start = perf_counter()
    draw_errors_and_features(engine, model, images, draws)
    bare = PAIRS / (perf_counter() - start)
    start = perf_counter()
    verdicts = dict(judge(enumerate(crops), engine, model))
    judged = len(crops) / (perf_counter() - start)
    start = perf_counter()
    plain_labels(engine, model, crops)
    plain = len(crops) / (perf_counter() - start)
    taken = np.mean([verdict.draws for verdict in verdicts.values()])
    return {
        "engine alone, pairs/s": bare,
        "judge, cells/s": judged,
        "draws a cell": taken,
        "judge's share of the engine": judged * taken / bare,
        "plain classifier of the same encoder, cells/s": plain,
        "plain classifier / judge": plain / judged,
    }


def seen(model, crops):
    card = model.card
    return to_input(crops, card.window_px, card.image_px, card.white)


def plain_labels(engine, model, crops):
    """Class numbers (n,) by the pooled features of one pass and a linear map of them."""
    images = seen(model, crops)
    number = np.full(len(images), int(np.argmin(model.sigma)))
    features = engine.features(images, model.noise[number], model.sigma[number])
    return (features @ model.guide[:-1] + model.guide[-1]).argmax(axis=1)
