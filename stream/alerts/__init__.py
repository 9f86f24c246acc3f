from .cell_rules import alerts_of
from .evaluator import AlertEvaluator, check_rules
from .expected import (
    ExpectedAlarms,
    MeasuredAlarms,
    MeasuredFile,
    expected_alarms,
    measured_alarms,
)
from .rare_classes import RareClass, SignedSlide, alarm_count, rare_classes
from .red_cell_rules import red_alerts
from .slide_rules import AnomalyShare, SlideTests

__all__ = [
    "AlertEvaluator",
    "AnomalyShare",
    "ExpectedAlarms",
    "MeasuredAlarms",
    "MeasuredFile",
    "RareClass",
    "SignedSlide",
    "SlideTests",
    "alarm_count",
    "alerts_of",
    "check_rules",
    "expected_alarms",
    "measured_alarms",
    "rare_classes",
    "red_alerts",
]
