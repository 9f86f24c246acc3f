from . import no_telemetry  # noqa: F401  before OpenVINO is imported
from .engine import ENGINE_NAMES, Engine, draw_errors_and_features, open_engine
from .tensorrt import Compiled, compile_ahead

__all__ = [
    "Engine",
    "ENGINE_NAMES",
    "Compiled",
    "compile_ahead",
    "draw_errors_and_features",
    "open_engine",
]
