from .cells import Cell, MarkedPlace, cell_id, cut_marked_cell, find_cells
from .crops import CROP_PX, CROP_UM
from .grid import WORK_MPP
from .kinds import KIND_NAMES
from .masks import MASK_LABELS, cell_labels, cell_masks, fit_crop_stain, measure_middle, outline
from .red_cell_fields import RedCell, RedCrops, RedField, RedSmear, measure_field, summary_of
from .scan import AREAS, Outlook, Scan, TileCells, begin_reading, begin_scan, plain_scan
from .stain import Stain, fit_stain

__all__ = [
    "AREAS",
    "CROP_PX",
    "CROP_UM",
    "KIND_NAMES",
    "MASK_LABELS",
    "WORK_MPP",
    "Cell",
    "MarkedPlace",
    "Outlook",
    "RedCell",
    "RedCrops",
    "RedField",
    "RedSmear",
    "Scan",
    "Stain",
    "TileCells",
    "begin_reading",
    "begin_scan",
    "cell_id",
    "cell_labels",
    "cell_masks",
    "cut_marked_cell",
    "find_cells",
    "fit_crop_stain",
    "fit_stain",
    "measure_field",
    "measure_middle",
    "outline",
    "plain_scan",
    "summary_of",
]
