"""Which level is read at a step, what is beyond the slide, and what is said of what is away."""

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ingest import Slide, SlideAwayError, SlideError
from ingest.readers import reader as reading
from ingest.readers.reader import (
    fastest,
    levels_for,
    places,
    plain_image,
    read_grid,
    read_place,
    same_pixels,
    step_px0,
    whole_step_px0,
)
from ingest.slide import Level

LEVELS = (Level(64, 48, 1.0), Level(32, 24, 2.0), Level(12, 9, 5.333), Level(8, 6, 8.0))
SLIDE = Slide("s", Path(__file__), 64, 48, 0.25, LEVELS, "v", "s", "image")


class Columns:
    """A slide whose red says the column, whose green says the row, whose blue says the level."""

    def __init__(self) -> None:
        self.asked: list[tuple] = []
        self.torn: set[int] = set()

    def read(self, x_px0: int, y_px0: int, level: int, size_px: tuple[int, int]) -> np.ndarray:
        self.asked.append((x_px0, y_px0, level, size_px))
        if level in self.torn:
            raise SlideError("torn", "scan the slide again")
        step = SLIDE.levels[level].downsample
        wide, high = size_px
        out = np.full((high, wide, 3), 60 + level, np.uint8)
        out[..., 0] = 100 + x_px0 + step * np.arange(wide)
        out[..., 1] = 150 + y_px0 + step * np.arange(high)[:, None]
        return out


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> Columns:
    made = Columns()
    monkeypatch.setattr(reading, "reader_of", lambda slide: made)
    return made


def test_the_coarsest_level_whose_pixels_fit_is_read() -> None:
    assert [levels_for(SLIDE, step) for step in (1, 2, 3, 4, 8, 16)] == [
        [0],
        [1, 0],
        [0],
        [1, 0],
        [3, 1, 0],
        [3, 1, 0],
    ]
    assert [whole_step_px0(SLIDE, wanted) for wanted in (0.5, 1.9, 2, 7.9, 8, 50)] == [
        1,
        1,
        2,
        2,
        8,
        8,
    ]
    mpps = [(0.25, None), (0.14, None), (0.2813, None), (0.07, None), (0.25, 1.0), (0.25, 0.999)]
    steps = [
        step_px0(replace(SLIDE, mpp=mpp), *([] if wanted is None else [wanted]))
        for mpp, wanted in mpps
    ]
    assert steps == [1, 2, 1, 4, 4, 3]
    none = replace(SLIDE, levels=LEVELS[2:3])
    assert levels_for(none, 2) == [0] and whole_step_px0(none, 99) == 1


def test_a_box_that_leaves_the_slide_is_background_there(columns: Columns) -> None:
    found = read_grid(SLIDE, (-4, -2, 8, 4), 2, (9, 8, 7))
    assert columns.asked == [(0, 0, 1, (4, 2))]
    assert found.shape == (3, 6, 3)
    assert (found[0] == (9, 8, 7)).all() and (found[:, :2] == (9, 8, 7)).all()
    assert found[1:, 2:, 0].tolist() == [[100, 102, 104, 106]] * 2
    assert found[1:, 2:, 1].tolist() == [[150] * 4, [152] * 4]
    corner = read_grid(SLIDE, (60, 44, 68, 52), 4, (9, 8, 7))
    assert columns.asked[1:] == [(60, 44, 1, (2, 2))]
    assert corner.tolist() == [[[161, 195, 61], [9, 8, 7]], [[9, 8, 7], [9, 8, 7]]]
    for box in ((64, 0, 68, 4), (0, 48, 4, 52), (-8, 0, 0, 4), (0, -8, 4, 0)):
        outside = read_grid(SLIDE, box, 2, (9, 8, 7))
        assert (outside == (9, 8, 7)).all()
    assert len(columns.asked) == 2, "nothing is read beyond the slide"


def test_a_torn_level_is_read_from_the_next_finer_one(columns: Columns) -> None:
    columns.torn = {3, 1}
    found = read_grid(SLIDE, (0, 0, 16, 8), 8, (9, 8, 7))
    assert [asked[2] for asked in columns.asked] == [3, 1, 0]
    assert found[..., 2].tolist() == [[60, 60]] and found[0, :, 0].tolist() == [104, 112]
    columns.torn = {0, 1, 3}
    with pytest.raises(SlideError, match="^torn"):
        read_grid(SLIDE, (0, 0, 16, 8), 8, (9, 8, 7))


@pytest.mark.parametrize("number", sorted(reading.AWAY))
def test_a_share_that_has_gone_is_no_damage(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def gone(slide: Slide) -> None:
        raise SlideError("cannot be opened", "copy it again") from OSError(number, "gone")

    monkeypatch.setattr(reading, "reader_of", gone)
    with pytest.raises(SlideAwayError) as away:
        read_grid(SLIDE, (0, 0, 16, 8), 8, (9, 8, 7))
    assert away.value.what == f"{SLIDE.path}: not there for this worker"
    assert away.value.hint == "does every worker see this path, and is the share still there?"


def test_what_counts_as_away() -> None:
    names = ["ENOENT", "EIO", "ESTALE", "ENOTCONN", "EACCES", "ETIMEDOUT", "EHOSTDOWN"]
    assert {getattr(errno, name) for name in names} == reading.AWAY


def test_damage_is_said_as_it_is(columns: Columns) -> None:
    columns.torn = {0}
    with pytest.raises(SlideError) as damaged:
        read_place(SLIDE, 0, 0, 0, (4, 4))
    assert not isinstance(damaged.value, SlideAwayError)
    gone = replace(SLIDE, path=Path("/not/there"))
    with pytest.raises(SlideAwayError):
        read_place(gone, 0, 0, 0, (4, 4))


def test_where_readers_are_compared() -> None:
    """In the middle and at the far end of each whole level."""
    wide = replace(SLIDE, levels=(Level(200, 100, 1.0), Level(50, 25, 4.0), Level(9, 9, 11.5)))
    assert list(places(wide)) == [
        (68, 18, 0, (64, 64)),
        (136, 36, 0, (64, 64)),
        (0, 0, 1, (50, 25)),
        (0, 0, 1, (50, 25)),
    ]


@pytest.mark.parametrize("changed", [None, (0, 0, 0), (23, 31, 2)])
def test_a_reader_that_differs_anywhere_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, changed: tuple[int, int, int] | None
) -> None:
    slow = Columns()

    class Fast(Columns):
        def read(self, *place):
            found = super().read(*place)
            if changed and place[2] == 1 and place[0] == 0:
                found[changed] += 1
            return found

    monkeypatch.setattr(reading, "TiffReader", lambda slide: Fast())
    chosen = fastest(SLIDE, slow)
    assert (chosen is slow) == (changed is not None)
    assert same_pixels(slow, slow, (0, 0, 0, (4, 4)))


def test_a_reader_that_cannot_open_it_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(slide: Slide) -> None:
        raise SlideError("no plain tiled TIFF", "leave it to OpenSlide")

    monkeypatch.setattr(reading, "TiffReader", refuses)
    slow = Columns()
    assert fastest(SLIDE, slow) is slow


def test_an_image_of_one_colour() -> None:
    found = plain_image((2, 3, 3), (1, 2, 3))
    assert found.tolist() == [[[1, 2, 3]] * 3] * 2 and found.dtype == np.uint8
    found[0, 0] = 9  # it may be written to
