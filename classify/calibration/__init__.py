from .adaptation import ADAPTING_DRAWS, can_adapt
from .cell_sizes import MeasuredCell, fit_sizes, measure_crops
from .certainty import CERTAINTY_NAMES, finish
from .comparison import CalibrationGain, balanced_share, split_cells
from .draws import (
    SIGMA_RANGE,
    best_temperature,
    candidates,
    log_loss,
    order,
    random_draws,
    weigh,
    weight_of,
)
from .fit import ErrorTable, Fitted, error_table, fit
from .laboratory import LabCells, recalibrate
from .psychometric import Psychometric, fit_psychometric

__all__ = [
    "CERTAINTY_NAMES",
    "CalibrationGain",
    "ADAPTING_DRAWS",
    "ErrorTable",
    "Fitted",
    "LabCells",
    "MeasuredCell",
    "Psychometric",
    "SIGMA_RANGE",
    "balanced_share",
    "best_temperature",
    "can_adapt",
    "candidates",
    "error_table",
    "finish",
    "fit",
    "fit_psychometric",
    "fit_sizes",
    "log_loss",
    "measure_crops",
    "order",
    "random_draws",
    "recalibrate",
    "split_cells",
    "weigh",
    "weight_of",
]
