from .engine import ENGINE_NAMES, Engine, draw_errors_and_features, open_engine
from .tensorrt import compile_ahead

__all__ = [
    "Engine",
    "ENGINE_NAMES",
    "compile_ahead",
    "draw_errors_and_features",
    "open_engine",
]
