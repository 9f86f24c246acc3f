from .agreement import SecondReading, cohen_kappa, second_readings
from .look_alikes import LookAlike, LookAlikes
from .open_atlas import write_open_atlas
from .signed_atlas import write_atlas

__all__ = [
    "LookAlike",
    "LookAlikes",
    "SecondReading",
    "cohen_kappa",
    "second_readings",
    "write_atlas",
    "write_open_atlas",
]
