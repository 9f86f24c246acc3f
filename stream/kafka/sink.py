"""Events to Kafka, each exactly once for a consumer that reads committed.

A batch is one transaction, and in the same transaction goes the batch's last outbox `seq`, as an
offset of a consumer group of this store's own. So the broker itself knows how far this store has
come: after a crash in the middle, a new sink with the same `transactional_id` first ends what the
old one had begun (and fences it off, should it still live), then asks for that offset, and drops
from every batch what has arrived already. (Kafka, KIP-98 and KIP-447.)
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import (
    InvalidProducerEpochError,
    InvalidRecordError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerFencedError,
    RecordListTooLargeError,
)
from kafka.producer.future import RecordMetadata
from kafka.producer.transaction_manager import TransactionalRequestResult
from kafka.structs import OffsetAndMetadata

from stream.config import Config, Kafka
from stream.sinks import EventRefusedError, SinkError, SinkFencedError
from stream.store import OutboxRecord

from .client import client_settings, end_offsets, hint, make_topics, one_line, reach
from .delivery_check import ReadBack

_REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidRecordError)
_FENCED = (ProducerFencedError, InvalidProducerEpochError)
_CLOSE_WAIT_S = 2.0
NOTHING = OffsetAndMetadata(0, "", -1)


def transactional_id(store_id: str) -> str:
    """Names the transactions of a store, and the consumer group that keeps its place."""
    return f"cytostream-relay-{store_id}"


class KafkaSink:
    """Sends to the topics of the config, keyed by slide; connects at the first `send`, and anew
    after an error.
    """

    usage = "kafka"

    @classmethod
    def open(cls, target: str, config: Config, store_id: str) -> "KafkaSink":
        """The sink of the configured broker."""
        return cls(config.kafka, store_id)

    def __init__(self, config: Kafka, store_id: str):
        """`store_id` is the outbox's: it names the transactions, so that one relay a store
        sends.
        """
        self.name = f"kafka:{config.bootstrap}"
        self._config = config
        self._group = transactional_id(store_id)
        self._mark_at = TopicPartition(config.topics.slides, 0)
        self._producer: _Producer | None = None
        self._group_reader: KafkaConsumer | None = None
        self._read_back: ReadBack | None = None
        self._there: set[str] = set()  # only with `read_back`
        self._mark = NOTHING
        self._fresh = False

    def place(self) -> int | None:
        """The last `seq` that the broker has of this store; None where it has forgotten, which it
        may after a week of silence.

        With `read_back` it is 0: everything is gone through again, and what is there is left out.
        """
        with self._errors():
            self._connected()
        return self._mark.offset if self._mark.metadata or self._fresh else None

    def send(self, batch: Sequence[OutboxRecord]) -> None:
        with self._errors():
            producer = self._connected()
            if new := self._not_yet_sent(batch):
                self._send(producer, new)

    def close(self) -> None:
        if self._producer:
            self._producer.drop()
            self._producer = None
        if self._group_reader:
            self._group_reader.close(autocommit=False)
            self._group_reader = None
        if self._read_back:
            self._read_back.close()
            self._read_back = None

    def _connected(self) -> "_Producer":
        self._producer = self._producer or self._connect()
        return self._producer

    def _connect(self) -> "_Producer":
        """Ends what an earlier producer of this store had begun, then reads how far it had come: in
        this order.
        """
        reach(self._config)
        producer = _Producer(**producer_settings(self._config, self._group))
        try:
            make_topics(self._config)
            producer.init_transactions()
            mark = self._read_mark()
            self._mark = mark or NOTHING
            self._fresh = not mark and self._is_empty()
            if self._config.read_back:
                self._read_back = ReadBack(self._config)
                self._mark = NOTHING
                self._fresh = True
                self._there = self._read_back.all_ids()
        except BaseException:
            producer.drop()
            raise
        return producer

    def _reader(self) -> KafkaConsumer:
        """Of this store's group: read_committed makes the broker wait for offsets of a transaction
        that is just ending.
        """
        if self._group_reader is None:
            self._group_reader = KafkaConsumer(
                group_id=self._group,
                isolation_level="read_committed",
                enable_auto_commit=False,
                **client_settings(self._config),
            )
        return self._group_reader

    def _read_mark(self) -> OffsetAndMetadata | None:
        return self._reader().committed(
            self._mark_at, metadata=True, timeout_ms=self._config.answer_s * 1000
        )

    def _is_empty(self) -> bool:
        """Whether the topics have never held anything."""
        topics = self._config.topics.model_dump().values()
        known = self._reader().partitions_for_topic
        places = [TopicPartition(t, n) for t in topics for n in known(t) or ()]
        return not any(end_offsets(self._reader(), places).values())

    def _check_memory(self) -> None:
        """A broker that has lost its newest records has lost the place, too: then nothing may be
        committed behind the gap.

        Raises:
            KafkaError: it has.
        """
        if ((mark := self._read_mark()) or NOTHING).offset < self._mark.offset:
            raise KafkaError(
                f"the broker has lost records: it is at {mark and mark.offset}, and was at "
                f"{self._mark.offset}"
            )

    def _not_yet_sent(self, batch: Sequence[OutboxRecord]) -> list[OutboxRecord]:
        if self._read_back:
            return [record for record in batch if record.id not in self._there]
        if any(
            record.seq == self._mark.offset and record.id != self._mark.metadata for record in batch
        ):
            do = "a copied store must not send: run the slides into a new store"
            raise SinkFencedError("another copy of this store has sent other events", do)
        return [record for record in batch if record.seq > self._mark.offset]

    def _send(self, producer: "_Producer", records: list[OutboxRecord]) -> None:
        """One transaction; where something in it is refused, halves, down to the one event."""
        try:
            self._transact(producer, records)
        except _REFUSALS as error:
            producer.abort_transaction()
            if len(records) == 1:
                raise EventRefusedError(
                    records[0].seq, f"{type(error).__name__}: {error}"
                ) from error
            half = len(records) // 2
            self._send(producer, records[:half])
            self._send(producer, records[half:])

    def _transact(self, producer: "_Producer", records: list[OutboxRecord]) -> None:
        mark = OffsetAndMetadata(records[-1].seq, records[-1].id, -1)
        producer.begin_transaction()
        places = producer.put_all(self._record(record) for record in records)
        self._check_memory()
        producer.send_offsets_to_transaction({self._mark_at: mark}, self._group)
        producer.commit_transaction()
        if self._read_back:
            self._look_back(self._read_back, places, records)
        self._mark = mark

    def _look_back(
        self, read_back: ReadBack, places: list[RecordMetadata], records: list[OutboxRecord]
    ) -> None:
        """Raises KafkaError where a consumer does not see what was committed."""
        starts: dict[TopicPartition, int] = {}
        for place in places:
            part = TopicPartition(place.topic, place.partition)
            starts[part] = min(place.offset, starts.get(part, place.offset))
        if not read_back.has(starts, (record.id for record in records)):
            raise KafkaError("the broker has dropped a transaction that it had committed")
        self._there |= {record.id for record in records}

    def _record(self, record: OutboxRecord) -> dict[str, Any]:
        topic = getattr(self._config.topics, record.kind)
        return {"topic": topic, "key": record.key, "headers": record.headers, "value": record.value}

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """After any error the transaction is in doubt: drop the producer, so that the next `send`
        asks the broker.
        """
        try:
            yield
        except _FENCED as error:
            self.close()
            what = f"{self.name} is taken over by another run of this store"
            raise SinkFencedError(
                what, "let that one go on, or stop it and run this one again"
            ) from error
        except (KafkaError, ValueError, OSError) as error:
            self.close()
            raise SinkError(f"{self.name}: {one_line(error)}", hint(error)) from error
        except SinkError:
            self.close()
            raise


class _Producer(KafkaProducer):  # type: ignore[misc]  # kafka-python has no types
    """kafka-python 3.0.12 waits without limit for a coordinator that is gone; here it waits
    `max_block_ms`.
    """

    def put_all(self, records: Iterator[dict[str, Any]]) -> list[RecordMetadata]:
        """Sends, and watches every future: a refusal goes before the aborts that it causes. Returns
        where the records are.

        Raises:
            KafkaError: the first refusal, else the first error.
        """
        futures = [self.send(**record) for record in records]
        self.flush(self.config["delivery_timeout_ms"] / 1000)
        errors = [future.exception for future in futures if not future.succeeded()]
        if errors:
            raise next((error for error in errors if isinstance(error, _REFUSALS)), errors[0])
        return [future.value for future in futures]

    def send_offsets_to_transaction(
        self, offsets: dict[TopicPartition, OffsetAndMetadata], group_metadata: str
    ) -> None:
        self._wait(self._transaction_manager.send_offsets_to_transaction(offsets, group_metadata))

    def commit_transaction(self) -> None:
        self._wait(self._transaction_manager.begin_commit())

    def abort_transaction(self) -> None:
        self._wait(self._transaction_manager.begin_abort())

    def drop(self) -> None:
        """Closes at once; `close` alone would wait for what can no longer be sent."""
        self._sender.force_close()
        self._sender.join(_CLOSE_WAIT_S)
        self.close(timeout=0)

    def _wait(self, result: TransactionalRequestResult) -> None:
        self._sender.wakeup()
        if not result.wait(self.config["max_block_ms"]):
            raise KafkaTimeoutError("the transaction coordinator does not answer")


def producer_settings(config: Kafka, transactional_id: str) -> dict[str, Any]:
    wait_ms = int(config.answer_s * 1000)
    return {
        **client_settings(config),
        "transactional_id": transactional_id,
        "enable_idempotence": True,
        "acks": "all",
        "max_in_flight_requests_per_connection": 5,
        "transaction_timeout_ms": 60_000,
        "max_block_ms": wait_ms,
        "request_timeout_ms": wait_ms,
        "delivery_timeout_ms": 2 * wait_ms,
        # the client waits it twice before the first transaction, with nothing to retry
        "retry_backoff_ms": 20,
        "linger_ms": config.linger_ms,
        "compression_type": config.compression,
        "max_request_size": config.max_event_bytes,
    }
