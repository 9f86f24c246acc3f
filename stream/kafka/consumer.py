"""Reads the topics back: what a consumer that reads committed sees."""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from stream.config import Kafka
from stream.events import TOPICS, Event, EventError, from_record
from stream.sinks import SinkError

from .client import client_settings, end_offsets, hint, one_line, reach

_log = logging.getLogger(__name__)
_POLL_MS = 200


def follow(
    config: Kafka,
    kinds: Iterable[str] = TOPICS,
    from_beginning: bool = False,
    stop: threading.Event | None = None,
) -> Iterator[Event]:
    """The events of some topics (cells, alerts, slides, failures) as they come, until `stop`.

    What another program wrote to a topic is skipped, with a warning in the log.

    Raises:
        SinkError: the broker does not answer.
    """
    topics = [getattr(config.topics, kind) for kind in kinds]
    with open_consumer(config, "earliest" if from_beginning else "latest") as consumer:
        consumer.subscribe(topics)
        while not (stop and stop.is_set()):
            yield from _poll(consumer)


def read_all(config: Kafka, kinds: Iterable[str] = TOPICS) -> Iterator[Event]:
    """The events that are committed now, from the beginning, then ends. A topic that is not there
    holds none.

    Raises:
        SinkError: the broker does not answer.
    """
    with open_consumer(config, "earliest") as consumer:
        known = consumer.topics()
        topics = [
            topic for topic in (getattr(config.topics, kind) for kind in kinds) if topic in known
        ]
        partitions = [
            TopicPartition(topic, part)
            for topic in topics
            for part in consumer.partitions_for_topic(topic)
        ]
        consumer.assign(partitions)
        ends = end_offsets(consumer, partitions)
        while any(consumer.position(partition) < end for partition, end in ends.items()):
            yield from _poll(consumer)


@contextmanager
def open_consumer(config: Kafka, start: str) -> Iterator[KafkaConsumer]:
    """A consumer that reads committed and commits nothing; `start`: earliest or latest.

    Raises:
        SinkError: the broker does not answer, now or later.
    """
    try:
        reach(config)
        consumer = KafkaConsumer(
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset=start,
            allow_auto_create_topics=False,
            metadata_max_age_ms=2000,
            **client_settings(config),
        )
        try:
            yield consumer
        finally:
            consumer.close(autocommit=False)
    except (KafkaError, ValueError, OSError) as error:
        raise SinkError(f"kafka:{config.bootstrap}: {one_line(error)}", hint(error)) from error


def _poll(consumer: KafkaConsumer) -> Iterator[Event]:
    """What has come since the last call."""
    for records in consumer.poll(_POLL_MS).values():
        for record in records:
            try:
                yield from_record(record.headers, record.value)
            except EventError as error:
                _log.warning("%s:%s:%s %s", record.topic, record.partition, record.offset, error)


def topic_names(config: Kafka) -> set[str]:
    """The broker's topics.

    Raises:
        SinkError: it does not answer.
    """
    with open_consumer(config, "latest") as consumer:
        return set(consumer.topics())
