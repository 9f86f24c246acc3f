"""Alerts about the red cells of a slide, each a test on counts."""

from collections.abc import Iterator

from classify import by_chance
from stream.config import Alerts, RedCells
from stream.events import JsonObject, SlideAlert


def red_alerts(
    figures: JsonObject, rules: Alerts, settings: RedCells, scanner: str
) -> list[SlideAlert]:
    """The alerts that the figures of a slide's red cells raise; none where none was judged.

    Schistocytes alert from 1 % (ICSH 2021: Zini et al., Int J Lab Hematol 43:1264-1271), where
    so many of normal cells would rarely be called so by error.
    """
    if not figures.get("judged"):
        return []
    return [
        *_schistocytes(figures, rules, settings, scanner),
        *_anomalies(figures, rules, scanner),
    ]


def _schistocytes(
    figures: JsonObject, rules: Alerts, settings: RedCells, scanner: str
) -> Iterator[SlideAlert]:
    share = figures["kinds"].get("schistocyte")
    if share is None or share["percent"] < settings.schistocytes_from:
        return
    error_rate = settings.schistocytes_by_error / 100
    if by_chance(share["count"], figures["judged"], error_rate) < rules.chance_below:
        reason = (
            f"{share['percent']:.1f} % schistocytes ({share['count']} of {figures['judged']} red "
            f"cells), {settings.schistocytes_from:g} % or more: think of a thrombotic "
            "microangiopathy"
        )
        yield SlideAlert(
            "schistocytes",
            settings.schistocytes_severity,
            share["percent"],
            settings.schistocytes_from,
            reason,
            figures["judged"],
            scanner,
        )


def _anomalies(figures: JsonObject, rules: Alerts, scanner: str) -> Iterator[SlideAlert]:
    rate = 1 - rules.anomaly_above
    judged = figures["judged"]
    chance = by_chance(figures["anomalous"], judged, rate)
    if chance < rules.chance_below:
        reason = (
            f"{figures['anomalous']} of {judged} red cells are unlike all known kinds, where "
            f"{rate * judged:.1f} are to be expected by chance"
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
