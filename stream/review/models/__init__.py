from .model_choice import ChosenModel
from .model_list import ModelFacts, list_models
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
    "ChosenModel",
    "ModelFacts",
    "ShadowFound",
    "ShadowReport",
    "compare_shadow",
    "list_models",
    "report_facts",
    "shadows_of",
]
