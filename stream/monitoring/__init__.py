from .health import Health, check_store_files
from .metrics import METRIC_NAMES, ProcessMetrics, StoreCollector
from .server import open_monitoring

__all__ = [
    "METRIC_NAMES",
    "Health",
    "ProcessMetrics",
    "StoreCollector",
    "check_store_files",
    "open_monitoring",
]
