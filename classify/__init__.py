from .anomaly.conformal import by_chance
from .anomaly.drift import FAR
from .anomaly.drift import drift as calibration_drift
from .calibration.laboratory import LabCells
from .engines.engine import NAMES as ENGINES
from .engines.engine import Engine, open_engine
from .engines.tensorrt import compile_ahead
from .errors import DataError, EngineError, ModelError
from .explain.maps import Explanation
from .explain.maps import explain as explain_cell
from .explain.nearest import Nearest
from .image_folder import CropFolder
from .judge import judge
from .model_card import CLASS_NAME, SHIPPED, Card, ClassName, Model, load_model, read_card
from .pixels import on_white
from .verdict import Anomaly, Verdict

__all__ = [
    "CLASS_NAME",
    "ENGINES",
    "FAR",
    "SHIPPED",
    "Anomaly",
    "Card",
    "ClassName",
    "CropFolder",
    "DataError",
    "Engine",
    "EngineError",
    "Explanation",
    "LabCells",
    "Model",
    "ModelError",
    "Nearest",
    "Verdict",
    "by_chance",
    "calibration_drift",
    "compile_ahead",
    "explain_cell",
    "judge",
    "load_model",
    "on_white",
    "open_engine",
    "read_card",
]
