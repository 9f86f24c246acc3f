from .crossvalidation import Expected, Lesson, exact_interval
from .groups import patients_of
from .library import TAUGHT_FOLDER, TaughtLibrary, taught_at
from .review_order import MOST_ORDERED, review_order
from .taught_class import (
    PRIOR,
    TaughtClass,
    feature_digest,
    pixel_digest,
    read_taught,
    teach_class,
    write_taught,
)
from .verdicts import TaughtJudge

__all__ = [
    "Expected",
    "Lesson",
    "MOST_ORDERED",
    "PRIOR",
    "TAUGHT_FOLDER",
    "TaughtClass",
    "TaughtJudge",
    "TaughtLibrary",
    "exact_interval",
    "feature_digest",
    "patients_of",
    "pixel_digest",
    "read_taught",
    "review_order",
    "taught_at",
    "teach_class",
    "write_taught",
]
