"""Alerts about the red cells of a slide, each a test on counts."""

from collections.abc import Iterator
from dataclasses import dataclass

from classify import by_chance
from stream.config import Alerts, RedCells
from stream.events import JsonObject, Severity, SlideAlert


def red_alerts(
    figures: JsonObject, rules: Alerts, settings: RedCells, scanner: str
) -> list[SlideAlert]:
    """The alerts that the figures of a slide's red cells raise; none where none was judged.

    Schistocytes alert from 1 % (ICSH 2021: Zini et al., Int J Lab Hematol 43:1264-1271), where
    so many of normal cells would rarely be called so by error.
    """
    if not figures.get("judged"):
        return []
    kinds = [_kind(figures, rule, rules.chance_below, scanner) for rule in kind_rules(settings)]
    return [*(alert for alert in kinds if alert), *_anomalies(figures, rules, scanner)]


@dataclass(frozen=True, slots=True)
class KindRule:
    """An alert from `percent_from` of the judged red cells on, where so many of other cells would
    rarely be called so by error, which happens to `by_error` per cent of them.
    """

    kind: str
    name: str
    percent_from: float
    by_error: float
    severity: Severity
    meaning: str


def kind_rules(settings: RedCells) -> list[KindRule]:
    """The rules about kinds of red cells, as the configuration sets them."""
    return [
        KindRule(
            "schistocyte",
            "schistocytes",
            settings.schistocytes_from,
            settings.schistocytes_by_error,
            settings.schistocytes_severity,
            "think of a thrombotic microangiopathy",
        ),
        KindRule(
            "spherocyte",
            "spherocytes",
            settings.spherocytes_from,
            settings.spherocytes_by_error,
            settings.spherocytes_severity,
            "think of haemolysis",
        ),
    ]


def _kind(
    figures: JsonObject, rule: KindRule, chance_below: float, scanner: str
) -> SlideAlert | None:
    share = figures["kinds"].get(rule.kind)
    judged = figures["judged"]
    if share is None or share["percent"] < rule.percent_from:
        return None
    if by_chance(share["count"], judged, rule.by_error / 100) >= chance_below:
        return None
    reason = (
        f"{share['percent']:.1f} % {rule.name} ({share['count']} of {judged} red cells), "
        f"{rule.percent_from:g} % or more: {rule.meaning}"
    )
    about = (share["percent"], rule.percent_from, reason, judged, scanner)
    return SlideAlert(rule.name, rule.severity, *about)


def _anomalies(figures: JsonObject, rules: Alerts, scanner: str) -> Iterator[SlideAlert]:
    rate = 1 - rules.anomaly_above
    judged = figures["judged"]
    chance = by_chance(figures["anomalous"], judged, rate)
    if chance < rules.chance_below:
        reason = (
            f"{figures['anomalous']} of {judged} red cells are unlike all known kinds, where "
            f"{rate * judged:.1f} are to be expected by chance{_long(figures)}"
        )
        yield SlideAlert(
            "anomalous-red-cells",
            rules.severity,
            chance,
            rules.chance_below,
            reason,
            judged,
            scanner,
        )


def _long(figures: JsonObject) -> str:
    """How many of the anomalous cells are far longer than wide."""
    count = figures.get("anomalous_long") or 0
    return f"; {count} of them are long and narrow, as sickle cells are" if count else ""
