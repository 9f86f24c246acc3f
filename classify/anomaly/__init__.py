from .conformal import by_chance, label_scores, padded_scores, prediction_sets
from .drift import FAR_DRIFT, calibration_drift
from .score import ANOMALY_WEIGHTS, Oddity, fit_oddity, oddity_of, relative, scores, tables_of
from .verdict import AnomalyScores, anomaly_of, assess

__all__ = [
    "ANOMALY_WEIGHTS",
    "AnomalyScores",
    "FAR_DRIFT",
    "Oddity",
    "anomaly_of",
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
