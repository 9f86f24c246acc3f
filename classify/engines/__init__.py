from .engine import ENGINE_NAMES, Engine, open_engine
from .tensorrt import compile_ahead

__all__ = ["Engine", "ENGINE_NAMES", "compile_ahead", "open_engine"]
