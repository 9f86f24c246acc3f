"""What the code of a failure tells a program: whether to try again, and whose fault it is."""

import pytest

from ingest import (
    CytostreamError,
    DamagedSlideError,
    HeldError,
    IncompleteSlideError,
    SlideAwayError,
    SlideError,
    UnreadableSlideError,
)
from stream.run.context import OtherWorkError
from stream.run.slide_failures import failure_of, is_passing

CODES = [
    (CytostreamError("worker lost"), True, "read.unavailable"),
    (SlideAwayError("not there"), True, "read.unavailable"),
    (UnreadableSlideError("no right"), True, "read.unavailable"),
    (SlideError("no slide"), False, "read.unreadable"),
    (DamagedSlideError("torn"), False, "read.unreadable"),
    (IncompleteSlideError("a file lacks"), False, "read.incomplete"),
    (OtherWorkError("another model"), True, "read.other_work"),
]


@pytest.mark.parametrize(("error", "passing", "code"), CODES, ids=lambda one: type(one).__name__)
def test_the_code_says_whose_fault_it_is(error, passing, code):
    assert is_passing(error) is passing
    failure = failure_of(error, "s1", "read", (1, 2, 3, 4))
    assert (failure.slide_id, failure.stage, failure.code) == ("s1", "read", code)
    assert failure.box_px0 == (1, 2, 3, 4) and failure.what == error.what


def test_a_slide_that_is_held_says_what_for_and_gives_the_figures():
    error = HeldError("0.5 or 0.25?", "say which", code="scale", figures="0.5 um/px")
    failure = failure_of(error, "s1", "read")
    assert (failure.stage, failure.code) == ("held", "held.scale")
    assert failure.figures == "0.5 um/px" and failure.hint == "say which"
