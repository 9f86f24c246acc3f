"""Shares, grades and estimates of red cells, from made-up cells."""

import pytest

from segment import RedCell
from stream.config import RedCells
from stream.run.red_morphology import (
    FIELD_MM2,
    GRADES,
    JudgedRed,
    estimates_of,
    grade_of,
    leading_finding,
    relative_to_normal,
    share_of,
    shares_of,
)


def judged(label: str, count: int, area_um2: float = 42.0, pallor: float = 0.2) -> list[JudgedRed]:
    cell = RedCell(0, 0, area_um2, 0.95, pallor)
    return [JudgedRed(cell, label, 0.9, 0.5)] * count


@pytest.mark.parametrize(
    ("name", "percent", "grade"),
    [
        ("schistocyte", 0.1, 0),
        ("schistocyte", 0.9, 1),
        ("schistocyte", 1.0, 2),
        ("schistocyte", 2.0, 3),
        ("spherocyte", 4.9, 1),
        ("spherocyte", 5.0, 2),
        ("microcyte", 19.9, 2),
        ("microcyte", 20.0, 3),
        ("normal", 99.0, 0),
    ],
)
def test_grades_begin_at_their_lines(name, percent, grade):
    assert grade_of(name, percent) == grade


def test_the_lines_of_the_grades_are_those_of_the_recommendations():
    """Palmer et al. 2015, table 2: sizes and colour 11 and 20 %, shapes 5 and 20 %, schistocytes
    1 and 2 %.
    """
    by_size = {"macrocyte", "microcyte", "hypochromic", "anisocytosis"}
    for name in GRADES:
        grades = [grade_of(name, percent / 10) for percent in range(1001)]
        lines = [grades.index(grade) / 10 for grade in (1, 2, 3)]
        if name == "schistocyte":
            assert lines == [0.2, 1, 2]
        else:
            assert lines == ([5.5, 11, 20] if name in by_size else [2.5, 5, 20]), name


def test_a_share_has_wilson_s_interval():
    share = share_of("schistocyte", 10, 1000)
    assert (share.count, share.percent, share.grade) == (10, 1.0, 2)
    assert (share.low, share.high) == pytest.approx((0.54, 1.83), abs=0.01)
    assert f"{share_of('macrocyte', 18, 554).percent:.1f}" == "3.2"  # 3.249 % is not rounded twice


def test_what_is_no_red_cell_is_in_no_share():
    shares = shares_of(judged("normal", 80) + judged("spherocyte", 20) + judged("other", 50))
    assert "other" not in shares
    assert shares["spherocyte"].percent == 20 and shares["normal"].percent == 80
    assert shares["poikilocytosis"].percent == 20 and shares["anisocytosis"].percent == 0


def test_no_judged_cell_gives_no_share():
    assert shares_of(judged("other", 3)) == {} and leading_finding({}) is None


def test_the_leading_finding_is_the_most_frequent_graded_kind():
    cells = judged("normal", 60) + judged("microcyte", 25) + judged("target-cell", 15)
    assert leading_finding(shares_of(cells)) == "microcyte"
    cells = judged("normal", 60) + judged("schistocyte", 20) + judged("hypochromic", 20)
    assert leading_finding(shares_of(cells)) == "hypochromic"
    assert leading_finding(shares_of(judged("normal", 100))) is None


def test_size_and_pallor_are_judged_against_the_slide_s_own_normal_cells():
    normal = judged("normal", 30, area_um2=60.0, pallor=0.3)
    unusual = [
        *judged("normal", 1, area_um2=90.0),
        *judged("normal", 1, area_um2=40.0),
        *judged("normal", 1, area_um2=60.0, pallor=0.6),
        *judged("teardrop", 1, area_um2=90.0),
    ]
    names = [one.label for one in relative_to_normal(normal + unusual)]
    assert names == ["normal"] * 30 + ["macrocyte", "microcyte", "hypochromic", "teardrop"]


def test_too_few_normal_cells_are_no_reference():
    cells = judged("normal", 5) + judged("normal", 1, area_um2=90.0)
    assert relative_to_normal(cells) == cells


def test_estimates_are_counts_a_field_times_the_factor():
    settings = RedCells(platelet_factor=15e9, white_factor=10e9)
    made = estimates_of(platelets=200, whites=6, mm2=10 * FIELD_MM2, settings=settings)
    assert made == {"platelets_per_litre": 300e9, "whites_per_litre": 6e9}
    assert estimates_of(0, 0, 0.0, settings)["platelets_per_litre"] is None
