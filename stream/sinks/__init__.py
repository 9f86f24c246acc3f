from .jsonl import JsonlSink
from .relay import Relay
from .sink import EventRefusedError, Sink, SinkError, SinkFencedError

__all__ = ["EventRefusedError", "JsonlSink", "Relay", "Sink", "SinkError", "SinkFencedError"]
