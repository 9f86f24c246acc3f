"""Reads back what was sent, by ids: for a broker that may forget what it had acknowledged, or
committed.

Apache Kafka keeps acknowledged records and open transactions over a restart. The embedded broker
loses the one on a kill, and drops the other on any stop, only to say yes to its commit afterwards:
the store's place moves on, and the records are not there. So with `kafka.read_back` the sink
believes what a consumer sees, and nothing else.
"""

from collections.abc import Iterable
from time import monotonic

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from stream.config import Kafka

from .client import client_settings, end_offsets

_POLL_MS = 50


class ReadBack:
    """A consumer that reads committed, from given places to the end."""

    def __init__(self, config: Kafka):
        self._config = config
        self._consumer = KafkaConsumer(
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **client_settings(config),
        )

    def all_ids(self) -> set[str]:
        """The ids of everything in the topics.

        Raises:
            KafkaError: the broker does not answer.
        """
        parts = {
            topic: self._consumer.partitions_for_topic(topic)
            for topic in self._config.topics.model_dump().values()
        }
        if unknown := [topic for topic, numbers in parts.items() if not numbers]:
            raise KafkaError(f"the broker does not know {', '.join(unknown)} yet")
        return self._ids(
            {TopicPartition(topic, n): 0 for topic, numbers in parts.items() for n in numbers}
        )

    def has(self, starts: dict[TopicPartition, int], ids: Iterable[str]) -> bool:
        """Whether a consumer sees all these events from these places on; a commit may take a moment
        to show.

        Raises:
            KafkaError: the broker does not answer.
        """
        wanted = set(ids)
        end_s = monotonic() + self._config.answer_s
        while not wanted <= self._ids(starts):
            if monotonic() > end_s:
                return False
        return True

    def _ids(self, starts: dict[TopicPartition, int]) -> set[str]:
        """Of the records from these places to the end.

        Raises:
            KafkaError: they do not come within `answer_s`.
        """
        found = set()
        consumer = self._consumer
        ends = end_offsets(consumer, list(starts))
        left = {place for place, start in starts.items() if start < ends[place]}
        consumer.assign(list(left))
        for place in left:
            consumer.seek(place, starts[place])
        end_s = monotonic() + self._config.answer_s
        while any(consumer.position(place) < ends[place] for place in left):
            if monotonic() > end_s:  # half of the ids would have the other half sent twice
                raise KafkaError("the broker does not give back what it has")
            for records in consumer.poll(_POLL_MS).values():
                found |= {
                    dict(record.headers).get("ce_id", b"").decode(errors="replace")
                    for record in records
                }
        return found

    def close(self) -> None:
        self._consumer.close(autocommit=False)
