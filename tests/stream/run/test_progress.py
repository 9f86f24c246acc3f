"""What is counted of a slide while it is read."""

from stream.run.progress import Tally


def test_ratios_per_100_white_cells_are_over_white_cells():
    """Not over platelets, red cells, and what is no cell to count."""
    tally = Tally(tiles=1)
    for label, kind in (
        ("neutrophil", "wbc"),
        ("lymphocyte", "wbc"),
        ("other", "wbc"),
        ("platelet", "platelet"),
        ("other", "platelet"),
        ("neutrophil", "rbc"),
    ):
        tally.count(label, kind)
    assert tally.white == 2 and tally.progress().cells == 6
    assert tally.cells["other"] == 2 and tally.cells["neutrophil"] == 2


def test_nothing_is_counted_before_the_first_cell():
    empty = Tally(tiles=4).progress()
    assert empty.tiles == 4
    assert empty.tiles_done == empty.cells == empty.alerts == empty.failures == 0
