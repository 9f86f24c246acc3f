from .cell_rules import OTHER
from .evaluator import Desk, Share, check_rules
from .red_cell_rules import red_alerts

__all__ = ["Desk", "OTHER", "Share", "check_rules", "red_alerts"]
