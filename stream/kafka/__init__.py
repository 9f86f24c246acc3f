from .asyncapi import write_asyncapi
from .consumer import follow, read_all, topic_names
from .embedded_broker import Broker
from .sink import KafkaSink

__all__ = [
    "Broker",
    "KafkaSink",
    "follow",
    "read_all",
    "topic_names",
    "write_asyncapi",
]
