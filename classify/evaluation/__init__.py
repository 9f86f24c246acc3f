from .evaluate import evaluate_model
from .figures import Findings
from .metrics import auc, balanced_accuracy
from .suite import read_suite
from .training_report import report_training

__all__ = [
    "Findings",
    "auc",
    "balanced_accuracy",
    "evaluate_model",
    "read_suite",
    "report_training",
]
