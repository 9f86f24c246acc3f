from .crossvalidation import Expected, Lesson
from .groups import patients_of
from .library import TaughtLibrary, taught_at
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
    "PRIOR",
    "TaughtClass",
    "TaughtJudge",
    "TaughtLibrary",
    "feature_digest",
    "patients_of",
    "pixel_digest",
    "read_taught",
    "taught_at",
    "teach_class",
    "write_taught",
]
