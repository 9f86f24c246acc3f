from .jsonl import JsonlSink
from .registry import open_sink
from .relay import Relay
from .sink import EventRefusedError, Sink, SinkError, SinkFencedError

__all__ = [
    "EventRefusedError",
    "JsonlSink",
    "Relay",
    "Sink",
    "SinkError",
    "SinkFencedError",
    "open_sink",
]
