"""The sinks that `--sink` can name. One more is a class with `open`, its test, and a line here."""

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol, cast

from stream.config import Config, ConfigError

from .sink import Sink

# By the word before the colon; a module is imported when its sink is opened.
SINKS: Mapping[str, str] = {
    "kafka": "stream.kafka:KafkaSink",
    "jsonl": "stream.sinks.jsonl:JsonlSink",
}


class SinkKind(Protocol):
    """What a class of sinks brings: the form of its word, and how it is opened."""

    usage: str

    def open(self, target: str, config: Config, store_id: str) -> Sink:
        """The sink of what stands after the colon, for the events of a store.

        Raises:
            ConfigError: there is no such target.
            SinkError: it cannot be opened.
        """


def sink_kind(name: str, sinks: Mapping[str, str] = SINKS) -> SinkKind:
    """The class of a sink."""
    module, _, kind = sinks[name].partition(":")
    return cast(SinkKind, getattr(import_module(module), kind))


def open_sink(word: str, config: Config, store_id: str, sinks: Mapping[str, str] = SINKS) -> Sink:
    """The sink of a `--sink` word, as kafka or jsonl:PATH.

    Raises:
        ConfigError: there is no such sink.
        SinkError: it cannot be opened.
    """
    name, colon, target = word.partition(":")
    kind = sink_kind(name, sinks) if name in sinks else None
    if kind is None or bool(colon) != (":" in kind.usage) or bool(colon) != bool(target):
        usages = [sink_kind(known, sinks).usage for known in sinks]
        raise ConfigError(f"no sink {word!r}", f"{', '.join(usages)}, or none")
    return kind.open(target, config, store_id)
