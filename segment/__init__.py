from .cells import Cell, cell_id, find_cells
from .crops import CROP_PX, CROP_UM
from .evaluate import BoxScore, dice, iou, score_boxes
from .masks import cell_masks
from .scan import AREAS, Outlook, Scan, begin_reading, begin_scan
from .stain import Stain, fit_stain

__all__ = [
    "AREAS", "CROP_PX", "CROP_UM", "BoxScore", "Cell", "Outlook", "Scan", "Stain", "begin_reading", "begin_scan", "cell_id",
    "cell_masks", "dice", "find_cells", "fit_stain", "iou", "score_boxes",
]
