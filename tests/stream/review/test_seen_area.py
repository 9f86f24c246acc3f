"""What a person has had on the screen: added up on the server, theirs alone."""

import numpy as np
import pytest

from stream.review.seen_area import SeenGrid


def seen(lab, *places, client=None):
    """Has squares seen; what the server then answers."""
    client = client or lab.one
    said = client.get(f"{lab.slide}/seen").json()
    grid = SeenGrid(said["side_px0"], said["columns"], said["rows"])
    squares = np.zeros(grid.columns * grid.rows, bool)
    squares[list(places)] = True
    return client.post(f"{lab.slide}/seen", {"squares": grid.text(squares)}).json()


@pytest.mark.parametrize("size", [(1, 1), (63, 64), (700, 700), (120_000, 90_001)])
def test_the_squares_cover_the_slide_and_are_bounded(size):
    grid = SeenGrid.of(*size)
    assert (grid.columns - 1) * grid.side_px0 < size[0] <= grid.columns * grid.side_px0
    assert (grid.rows - 1) * grid.side_px0 < size[1] <= grid.rows * grid.side_px0
    assert max(grid.columns, grid.rows) <= 512


def test_what_was_seen_adds_up_and_stays(lab):
    first = seen(lab, 0, 1)
    count = first["columns"] * first["rows"]
    assert first["share"] == pytest.approx(2 / count)
    assert seen(lab, 1, 5)["share"] == pytest.approx(3 / count)
    assert lab.one.get(f"{lab.slide}/seen").json()["share"] == pytest.approx(3 / count)
    before = lab.one.get(f"{lab.slide}/before-signing").json()
    assert before["seen_share"] == pytest.approx(3 / count)


def test_each_person_has_their_own_until_the_account_is_removed(open_lab):
    lab = open_lab("accounts")
    ada = lab.person("ada")
    bert = lab.person("bert", "viewer")
    lab.accounts.set("vera", "admin", "correct horse battery")
    assert seen(lab, 0, client=ada)["share"] > 0
    assert bert.get(f"{lab.slide}/seen").json()["share"] == 0
    grid = SeenGrid.of(lab.made.slide.width_px0, lab.made.slide.height_px0)
    lab.accounts.remove("ada")
    assert grid.share(lab.accounts.seen("ada", lab.made.slide.slide_id, grid)) == 0


@pytest.mark.parametrize("squares", ["AAAA", "A", "////" * 12_000])
def test_squares_of_another_slide_are_refused(lab, squares):
    assert lab.one.post(f"{lab.slide}/seen", {"squares": squares}).status_code == 400


def test_what_is_kept_of_another_grid_counts_as_nothing(lab):
    grid = SeenGrid(64, 2, 2)
    lab.accounts.see("ada", lab.made.slide.slide_id, grid, grid.text(np.ones(4, bool)))
    other = SeenGrid.of(4000, 4000)
    assert other.share(lab.accounts.seen("ada", lab.made.slide.slide_id, other)) == 0
