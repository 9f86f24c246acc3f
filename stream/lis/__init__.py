from .http_sink import FhirSink, StowSink
from .listener import open_listener
from .order_messages import OrderMessage, orders_of
from .results import ResultReports
from .sink import MllpSink

__all__ = [
    "FhirSink",
    "MllpSink",
    "OrderMessage",
    "ResultReports",
    "StowSink",
    "open_listener",
    "orders_of",
]
