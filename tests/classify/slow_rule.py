"""The rule of the judge as it is stated, one cell and one draw at a time: the oracle of the fast
one.
"""

import numpy as np

from classify import Verdict
from classify.anomaly import oddity_of, prediction_sets
from classify.anomaly.conformal import p_values
from classify.anomaly.score import features, least, relative, together
from classify.anomaly.verdict import reason_of
from classify.verdict import Anomaly


def probability_of(model, errors):
    evidence = -(model.weight[: len(errors), None] * errors).sum(axis=0, dtype=np.float64)
    logits = evidence / model.temperature[len(errors) - 1] + model.bias
    p = np.exp(logits - logits.max())
    return p / p.sum()


def chance_after(model, errors):
    p = probability_of(model, errors)
    if model.settling is None:
        return p
    sharp = (p / p.max()) ** (1 / model.settling[len(errors) - 1])
    return sharp / sharp.sum()


def pattern_of(model, errors):
    """By the covariance itself, solved."""
    d = len(errors) - 1
    away = features(errors[None], model.sigma)[0] - model.centre[d]
    return away @ np.linalg.solve(model.covariance[d].astype(float), away)


def score_of(model, errors):
    d = len(errors) - 1
    oddity = oddity_of(model)
    three = np.array(
        [
            relative(errors[None]),
            least(errors[None], model.sigma),
            [pattern_of(model, errors)],
        ]
    )
    raw = together(three, oddity.parts[d], oddity.part_tails[d], oddity.part_weights)
    return 1 - float(p_values(raw, oddity.normal[d], oddity.tail[d])[0])


def slow_verdict(model, errors, exhaustive=False):
    """The verdict of a cell of errors (D, K), draw by draw."""
    card = model.card
    last = len(model.sigma)
    left = np.ones(len(card.classes), bool)
    draws = 0
    while True:
        draws += 1
        seen = errors[:draws]
        chance = chance_after(model, seen)
        if exhaustive and draws < last:
            continue
        left = left & (chance >= card.elimination)
        now = left if left.any() else np.arange(len(chance)) == chance.argmax()
        if now.sum() > 1 and draws < last:
            continue
        score = score_of(model, seen)
        if score > card.screen and draws < min(last, card.screen_draws):
            continue
        return stated(model, seen, now, score)


def stated(model, errors, left, score):
    card = model.card
    p = probability_of(model, errors)
    winner = p.argmax()
    draws = len(errors)
    z = np.mean((errors[:, winner] - model.mean[:draws, winner]) / model.spread[:draws, winner])
    sums = {name: 0.0 for name in card.parents}
    still = {name: 0.0 for name in card.parents}
    for name, share, inside in zip(card.classes, p, left, strict=True):
        sums[card.parent_of(name)] += share
        still[card.parent_of(name)] += share * inside
    parent = max(still, key=still.get)
    possible = (card.classes[winner],)
    if model.ill is not None:
        inside = prediction_sets(p[None], model.ill, card.coverage)[0]
        possible = tuple(name for name, one in zip(card.classes, inside, strict=True) if one)
    shares = dict(zip(card.classes, p, strict=True))
    allowed = [
        name
        for name, one in zip(card.classes, left, strict=True)
        if one and card.parent_of(name) == parent
    ]
    return Verdict(
        label=max(allowed, key=shares.get),
        scores=shares,
        anomaly=Anomaly(score, float(relative(errors[None])[0]), z, reason_of(model, p, z, score)),
        draws=draws,
        decided=bool(left.sum() == 1),
        may_be=possible,
        parents=sums,
        parent=parent,
        parents_possible=tuple(dict.fromkeys(map(card.parent_of, possible))),
    )
