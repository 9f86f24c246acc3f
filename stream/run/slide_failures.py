"""The failures that a run reports: which of them may pass, and their codes."""

from ingest import (
    CytostreamError,
    Failure,
    HeldError,
    IncompleteSlideError,
    SlideAwayError,
    SlideError,
    UnreadableSlideError,
)
from stream.events import (
    Box,
)

from .context import OtherWorkError


def is_passing(error: CytostreamError) -> bool:
    """Whether another try may go better: the share was away, or the cluster lost a worker; not
    where the file is at fault.
    """
    return not isinstance(error, SlideError) or isinstance(
        error, SlideAwayError | UnreadableSlideError
    )


def failure_of(
    error: CytostreamError, slide_id: str, stage: str, box_px0: Box | None = None
) -> Failure:
    """The failure of an error; its code says whether it is the file's fault."""
    if isinstance(error, HeldError):
        code = f"held.{error.code}"
        return Failure(slide_id, "held", error.what, error.hint, box_px0, code, error.figures)
    kind = "unavailable" if is_passing(error) else "unreadable"
    if isinstance(error, OtherWorkError):
        kind = "other_work"
    elif isinstance(error, IncompleteSlideError):
        kind = "incomplete"
    return Failure(slide_id, stage, error.what, error.hint, box_px0, f"{stage}.{kind}")
