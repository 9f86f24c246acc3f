from .card import SHIPPED, Card, Model, load_model, read_card
from .conformal import by_chance
from .data import CropFolder
from .drift import FAR
from .drift import drift as calibration_drift
from .engine import NAMES as ENGINES
from .engine import Engine, open_engine
from .engine_tensorrt import compile_ahead
from .errors import DataError, EngineError, ModelError
from .explain import Explanation
from .explain import explain as explain_cell
from .judge import judge
from .lab import LabCells
from .nearest import Nearest
from .pixels import on_white
from .verdict import Anomaly, Verdict

__all__ = [
    "ENGINES", "FAR", "SHIPPED", "Anomaly", "Card", "CropFolder", "DataError", "Engine", "EngineError", "Explanation",
    "LabCells", "Model", "ModelError", "Nearest", "Verdict", "by_chance", "calibration_drift", "compile_ahead",
    "explain_cell", "judge", "load_model", "on_white", "open_engine", "read_card",
]
