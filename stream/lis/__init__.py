from .listener import open_listener
from .order_messages import OrderMessage, orders_of
from .results import ResultMessages
from .sink import MllpSink

__all__ = ["MllpSink", "OrderMessage", "ResultMessages", "open_listener", "orders_of"]
