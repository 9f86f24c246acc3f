"""Errors of `classify`, on the one base of the project (`ingest.errors`)."""

from ingest import CytostreamError


class DataError(CytostreamError):
    """Labelled images that cannot be trained on or scored."""


class ModelError(CytostreamError):
    """A model that is absent, does not match its card, or cannot run here."""


class EngineError(CytostreamError):
    """An engine that was asked for and does not work on this machine."""
