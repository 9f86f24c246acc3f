"""Settings of the alert rules."""

from pydantic import Field, model_validator

from classify import ClassName
from stream.events import Severity

from .section import Section


class ClassRule(Section):
    """A cell of this class above this probability is an alert."""

    label: str
    above: float = Field(0.5, ge=0, lt=1)
    severity: Severity = "notice"


class RatioRule(Section):
    """More than `above` cells of these classes per 100 white cells are an alert of the slide."""

    labels: tuple[str, ...] = Field(min_length=1)
    above: float = Field(ge=0)
    severity: Severity = "urgent"


class ExcessRule(Section):
    """More cells of these classes together than a normal slide shows are an alert of the slide.

    The number is tested against a beta-binomial distribution: `background` is the share of normal
    white cells that the model calls so in a laboratory that it does not know, and is worth
    `background_cells` cells beside those of the slides that people have signed for.
    """

    labels: tuple[ClassName, ...] = Field(min_length=1)
    background: float = Field(gt=0, lt=1)
    background_cells: int = Field(500, ge=1, le=100_000)
    at_least: int = Field(3, ge=1, description="cells of these classes that an alert needs; chosen")
    severity: Severity = "urgent"

    @model_validator(mode="before")
    @classmethod
    def _one_label(cls, values: dict[str, object]) -> dict[str, object]:
        """`label = "blast"` stands for `labels = ["blast"]`."""
        if isinstance(values, dict) and "label" in values and "labels" not in values:
            return {
                **{k: v for k, v in values.items() if k != "label"},
                "labels": [values["label"]],
            }
        return values


class Alerts(Section):
    anomaly_above: float = Field(
        0.999,
        ge=0,
        le=1,
        description="a cell alert where the anomaly score is above this: 1 - the share of normal "
        "cells that raise a false alert; 1 in 1,000, checked by `python -m "
        "tests.tools.bench.alerts` on pbc/val and deepapl/normal",
    )
    chance_below: float = Field(
        1e-3,
        gt=0,
        lt=1,
        description="a slide alert where so many anomalous cells would arise by chance with a "
        "probability below this; chosen, not measured",
    )
    severity: Severity = Field("warning", description="of an alert about an anomalous cell")
    classes: tuple[ClassRule, ...] = ()
    per_100_white: tuple[RatioRule, ...] = ()
    excess: tuple[ExcessRule, ...] = Field(
        (
            ExcessRule(labels=("blast",), background=0.02),
            ExcessRule(labels=("blast", "promyelocyte"), background=0.02),
        ),
        description="rare classes; those that the model does not have are left out",
    )
    false_alarms_per_100: float = Field(
        1.5,
        gt=0,
        lt=100,
        description="of 100 normal slides, those on which the tests of all rare classes together "
        "may raise an alarm; chosen, and compared with what is found by `cytostream alerts "
        "--expected` and `python -m tests.tools.bench.alarms DATA --work DIR`",
    )
    taught_severity: Severity = Field("urgent", description="of an alert about a taught class")
    taught_at_least: int = Field(
        3, ge=1, description="cells that such an alert needs; chosen, not measured"
    )
    range_severity: Severity = Field(
        "notice", description="of an alert about a class outside its reference range"
    )
    range_error: float = Field(
        10.0,
        ge=0,
        lt=100,
        description="per cent of white cells that may be called so wrongly before a class is "
        "outside its range; chosen, lower it once your slides have been measured",
    )
    white_at_least: int = Field(
        50,
        ge=1,
        description="white cells that a slide must have for a ratio; chosen, not measured",
    )
    anomalies_per_slide: int = Field(
        200, ge=0, description="more anomalous cells raise one slide alert; chosen, not measured"
    )
    at_most_per_slide: int = Field(
        500,
        ge=1,
        description="cell alerts a rule and slide, then one slide alert for the rest; chosen, not "
        "measured",
    )
    at_most_per_hour: int = Field(
        5000,
        ge=1,
        description="cell alerts of all slides, then one slide alert for the rest; chosen, not "
        "measured",
    )
    drift_slides: int = Field(
        5,
        ge=1,
        description="last slides of a scanner, compared with those before them; chosen, not "
        "measured",
    )
    drift_before: int = Field(
        20, ge=2, description="how many those before them are; chosen, not measured"
    )
    drift_z: float = Field(
        5.0,
        gt=0,
        description="standard errors by which the share of anomalous cells must have moved; "
        "chosen, not measured",
    )
