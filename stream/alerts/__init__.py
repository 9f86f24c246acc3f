from .evaluator import AlertEvaluator, AnomalyShare, check_rules
from .red_cell_rules import red_alerts

__all__ = ["AlertEvaluator", "AnomalyShare", "check_rules", "red_alerts"]
