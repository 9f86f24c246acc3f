from .authenticity import MADE, REAL, Score, Shown, score_answers, write_test
from .card_sheet import card_sheet, soft_disc
from .generate import generate_cells, polish, sample
from .maps import Explanation, explain_cell
from .morphology import (
    Morphology,
    attribute_probabilities,
    attributes_of,
    cell_words,
    describe,
    has_attributes,
    ranked_names,
)
from .nearest import Known, Nearest, NearestCell, build_index

__all__ = [
    "Explanation",
    "Known",
    "MADE",
    "Morphology",
    "Nearest",
    "NearestCell",
    "REAL",
    "Score",
    "Shown",
    "attribute_probabilities",
    "attributes_of",
    "build_index",
    "card_sheet",
    "cell_words",
    "describe",
    "explain_cell",
    "generate_cells",
    "has_attributes",
    "polish",
    "ranked_names",
    "sample",
    "score_answers",
    "soft_disc",
    "write_test",
]
