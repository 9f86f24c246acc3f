from .removal import (
    RemovedSlide,
    forget_restored_leases,
    remove_marked_crops,
    remove_orders,
    remove_slide,
    remove_stated,
)
from .snapshot import snapshot

__all__ = [
    "RemovedSlide",
    "forget_restored_leases",
    "remove_orders",
    "remove_marked_crops",
    "remove_slide",
    "remove_stated",
    "snapshot",
]
