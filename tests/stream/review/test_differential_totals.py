"""Totals of the classical differential where the model has finer classes."""

from stream.config import ReviewSettings
from stream.review.cell_classes import scheme_of
from stream.review.differential import differential, total_lines, white_cells

LEAVES = ("band-neutrophil", "segmented-neutrophil", "myelocyte", "promyelocyte", "lymphocyte")
COUNTS = {"band-neutrophil": 10, "segmented-neutrophil": 50, "myelocyte": 2, "lymphocyte": 38}


def test_finer_classes_have_a_total_with_the_share_and_range_of_their_parent():
    config = ReviewSettings(ranges={"neutrophil": (40, 55)})
    scheme = scheme_of(LEAVES, config)
    neutrophils, immature = total_lines(scheme, COUNTS)
    assert (neutrophils.name, neutrophils.count, neutrophils.percent) == ("neutrophil", 60, 60.0)
    assert neutrophils.flag == "high" and neutrophils.interval[0] < 60 < neutrophils.interval[1]
    assert (immature.name, immature.count, immature.percent) == ("ig", 2, 2.0)
    assert scheme["neutrophil"].loinc == "26511-6" and scheme["ig"].loinc == "38518-7"


def test_totals_are_not_counted_twice():
    scheme = scheme_of(LEAVES, ReviewSettings())
    assert white_cells(differential(scheme, COUNTS)) == 100
    assert "neutrophil" not in scheme.names


def test_a_model_of_the_eight_classes_has_no_totals():
    scheme = scheme_of(("neutrophil", "ig", "lymphocyte"), ReviewSettings(classes=()))
    assert total_lines(scheme, {"neutrophil": 3}) == []
