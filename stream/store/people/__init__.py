from .preferences import PreferenceTable

__all__ = ["PreferenceTable"]
