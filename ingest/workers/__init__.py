from .cluster import open_workers
from .facts import open_slide_on
from .scheduler import Scheduler
from .workers import SerialWorkers, Workers

__all__ = ["Scheduler", "SerialWorkers", "Workers", "open_slide_on", "open_workers"]
