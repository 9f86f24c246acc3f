from .preferences import PreferenceTable
from .provided import ProvidedPerson, ProvidedTable
from .seen_areas import SeenAreaTable

__all__ = ["PreferenceTable", "ProvidedPerson", "ProvidedTable", "SeenAreaTable"]
