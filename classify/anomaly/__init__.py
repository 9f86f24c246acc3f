from .conformal import by_chance, label_scores, padded_scores, prediction_sets
from .drift import FAR_DRIFT, calibration_drift
from .score import Oddity, fit_oddity, oddity_of, relative, scores, tables_of
from .verdict import assess

__all__ = [
    "FAR_DRIFT",
    "Oddity",
    "assess",
    "by_chance",
    "calibration_drift",
    "fit_oddity",
    "label_scores",
    "oddity_of",
    "padded_scores",
    "prediction_sets",
    "relative",
    "scores",
    "tables_of",
]
