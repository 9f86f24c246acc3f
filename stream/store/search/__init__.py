from .likeness import LikeCell, index_store, like_cells
from .likeness_index import IndexedCells, LikenessIndex

__all__ = ["IndexedCells", "LikeCell", "LikenessIndex", "index_store", "like_cells"]
