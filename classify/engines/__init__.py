from .engine import NAMES, Engine, open_engine
from .tensorrt import compile_ahead

__all__ = ["Engine", "NAMES", "compile_ahead", "open_engine"]
