from .preferences import PreferenceTable
from .provided import ProvidedPerson, ProvidedTable

__all__ = ["PreferenceTable", "ProvidedPerson", "ProvidedTable"]
