from .authenticity import MADE, REAL, Shown, score_answers, write_test
from .generate import generate_cells, polish, sample
from .maps import Explanation, explain_cell
from .nearest import Known, Nearest, build_index

__all__ = [
    "Explanation",
    "Known",
    "MADE",
    "Nearest",
    "REAL",
    "Shown",
    "build_index",
    "explain_cell",
    "generate_cells",
    "polish",
    "sample",
    "score_answers",
    "write_test",
]
