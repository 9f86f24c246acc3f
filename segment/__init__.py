from .cells import Cell, cell_id, find_cells
from .crops import CROP_PX, CROP_UM
from .evaluate import BoxScore, dice, iou, score_boxes
from .grid import WORK_MPP
from .masks import LABELS, cell_labels, cell_masks
from .outline import outline
from .red_field import RedCell, RedField, RedSmear, measure_field, summary_of
from .scan import AREAS, Outlook, Scan, TileCells, begin_reading, begin_scan, plain_scan
from .stain import Stain, fit_stain

__all__ = [
    "AREAS", "CROP_PX", "CROP_UM", "LABELS", "WORK_MPP", "BoxScore", "Cell", "Outlook", "RedCell", "RedField", "RedSmear", "Scan",
    "Stain", "TileCells", "begin_reading", "begin_scan", "cell_id", "cell_labels", "cell_masks", "dice", "find_cells",
    "fit_stain", "iou", "measure_field", "outline", "plain_scan", "score_boxes", "summary_of",
]
