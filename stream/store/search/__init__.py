from .likeness import LikeCell, index_store, like_cells, unit_features
from .likeness_index import IndexedCells, LikenessIndex
from .slide_dates import slides_between

__all__ = [
    "IndexedCells",
    "LikeCell",
    "LikenessIndex",
    "index_store",
    "like_cells",
    "slides_between",
    "unit_features",
]
