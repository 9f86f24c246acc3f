"""The one error base of the project. An exception means stop; a bad tile or cell is a `Failure`
instead.
"""


class CytostreamError(Exception):
    """What went wrong, in one line, and `hint`: what to do next."""

    def __init__(self, what: str, hint: str = ""):
        self.what = what
        self.hint = hint
        super().__init__(f"{what} ({hint})" if hint else what)

    def __reduce__(self) -> tuple[type, tuple[str | int, ...]]:
        """So that it crosses process borders whole."""
        return type(self), (self.what, self.hint)


class SlideError(CytostreamError):
    """A slide or field of view that cannot be opened or read."""


class SlideAwayError(SlideError):
    """A slide whose file is not there, or cannot be reached now: it may be there later."""


class UnreadableSlideError(SlideError):
    """A slide whose content the system does not give now: no right to read it, a fault of a
    disk.
    """


class IncompleteSlideError(SlideError):
    """A slide of several files, one of which is not there."""


class DamagedSlideError(SlideError):
    """A slide whose content is at fault: only another copy of it can be read."""


class HeldError(SlideError):
    """A slide that can be read, but not believed: a person has to decide what holds.

    `code` says why ("scale" or "content"); `figures` are numbers and units alone, so that they may
    be sent where the text may not.
    """

    def __init__(self, what: str, hint: str = "", code: str = "content", figures: str = ""):
        super().__init__(what, hint)
        self.code = code
        self.figures = figures

    def __reduce__(self) -> tuple[type, tuple[str | int, ...]]:
        return type(self), (self.what, self.hint, self.code, self.figures)


class ClusterLostError(CytostreamError):
    """The workers as a whole have gone: no slide is at fault, and the run ends."""


class StoreError(CytostreamError):
    """A result store that cannot be opened or written."""
