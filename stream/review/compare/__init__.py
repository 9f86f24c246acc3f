from .agreement import SecondReading, cohen_kappa, second_readings
from .look_alikes import LookAlike, LookAlikes

__all__ = ["LookAlike", "LookAlikes", "SecondReading", "cohen_kappa", "second_readings"]
