"""The texts of page and report in each language."""

from .catalogue import LANGUAGES, Language, Texts, accepted_language

__all__ = ["LANGUAGES", "Language", "Texts", "accepted_language"]
