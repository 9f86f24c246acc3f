from .cluster import open_workers
from .scheduler import Scheduler
from .workers import SerialWorkers, Workers

__all__ = ["Scheduler", "SerialWorkers", "Workers", "open_workers"]
