from .model_choice import ModelChoice
from .shadow_differences import (
    AlertChange,
    DifferingCell,
    ShadowFound,
    ShadowReport,
    compare_shadow,
    report_facts,
    shadows_of,
)

__all__ = [
    "AlertChange",
    "DifferingCell",
    "ModelChoice",
    "ShadowFound",
    "ShadowReport",
    "compare_shadow",
    "report_facts",
    "shadows_of",
]
