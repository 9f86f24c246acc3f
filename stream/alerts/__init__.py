from .cell_rules import OTHER
from .evaluator import Desk, Share, check_rules

__all__ = ["Desk", "OTHER", "Share", "check_rules"]
