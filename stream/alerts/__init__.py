from .evaluator import AlertEvaluator, check_rules
from .red_cell_rules import red_alerts
from .slide_rules import AnomalyShare

__all__ = ["AlertEvaluator", "AnomalyShare", "check_rules", "red_alerts"]
