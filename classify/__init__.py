from .card import SHIPPED, Card, Model, load_model, read_card
from .data import CropFolder
from .engine import NAMES as ENGINES
from .engine import Engine, open_engine
from .engine_tensorrt import compile_ahead
from .errors import DataError, EngineError, ModelError
from .judge import judge
from .pixels import on_white
from .verdict import Anomaly, Verdict

__all__ = [
    "ENGINES", "SHIPPED", "Anomaly", "Card", "CropFolder", "DataError", "Engine", "EngineError", "Model", "ModelError",
    "Verdict", "compile_ahead", "judge", "load_model", "on_white", "open_engine",
    "read_card",
]
