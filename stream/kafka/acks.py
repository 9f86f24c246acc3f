"""Alerts that a person has acknowledged, as they come back on the topic of reviews; kept in the
store.

Which of them has been read is committed with them, in the store and not at the broker: none is
counted twice, none is lost.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kafka import TopicPartition

from ingest import CytostreamError
from stream.config import Kafka
from stream.events import ALERT, SLIDE_ALERT, Event
from stream.sinks import SinkError
from stream.store import Outbox

from .consumer import open_consumer, records_of

_log = logging.getLogger(__name__)
ACK_TABLES = """
CREATE TABLE IF NOT EXISTS acks (alert_id TEXT PRIMARY KEY, reviewer TEXT NOT NULL,
    at TEXT NOT NULL, comment TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS read_reviews (part INTEGER PRIMARY KEY, next INTEGER NOT NULL);
"""
_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class AlertStanding:
    """An alert of the store, and who has acknowledged it, None where nobody has."""

    event: Event
    reviewer: str | None


class Acks:
    """The acknowledgements of a store."""

    def __init__(self, outbox: Outbox):
        self.outbox = outbox
        outbox.make_tables(ACK_TABLES)

    def keep(self, event: Event, part: int, offset: int) -> None:
        """Takes in one review; only acknowledgements are kept, and the first of an alert counts."""
        with self.outbox.exclusive() as db:
            db.execute("INSERT OR REPLACE INTO read_reviews VALUES (?, ?)", (part, offset + 1))
            if event.data["action"] == "acknowledge" and event.data["alert_id"]:
                row = (
                    event.data["alert_id"],
                    event.data["reviewer"],
                    event.time.isoformat(),
                    event.data["comment"],
                )
                db.execute("INSERT OR IGNORE INTO acks VALUES (?, ?, ?, ?)", row)

    def next_offsets(self) -> dict[int, int]:
        return dict(self.outbox.rows("SELECT part, next FROM read_reviews"))

    def alerts(self) -> list[AlertStanding]:
        """The alerts of the store, oldest first; a replay is none."""
        sql = f"""SELECT seq, reviewer FROM records LEFT JOIN acks ON records.id = acks.alert_id
            WHERE type IN ('{ALERT}', '{SLIDE_ALERT}') ORDER BY seq"""
        found = (
            (self.outbox.record(seq).event, reviewer) for seq, reviewer in self.outbox.rows(sql)
        )
        return [AlertStanding(event, reviewer) for event, reviewer in found if not event.replay_of]


def read_reviews(acks: Acks, config: Kafka, stop: threading.Event) -> None:
    """Takes in reviews from where it stopped, until `stop`.

    Raises:
        SinkError: the broker does not answer.
    """
    with open_consumer(config, "earliest") as consumer:
        parts = [
            TopicPartition(config.topics.reviews, n)
            for n in consumer.partitions_for_topic(config.topics.reviews) or ()
        ]
        consumer.assign(parts)
        known = acks.next_offsets()
        for part in parts:
            if part.partition in known:
                consumer.seek(part, known[part.partition])
        while parts and not stop.is_set():
            for record, event in records_of(consumer):
                acks.keep(event, record.partition, record.offset)


@contextmanager
def follow_reviews(outbox: Outbox, config: Kafka) -> Iterator[Acks]:
    """Reads them in a thread; an absent broker is asked again and again."""
    acks, stop = Acks(outbox), threading.Event()

    def follow() -> None:
        while not stop.is_set():
            try:
                read_reviews(acks, config, stop)
            except SinkError as error:
                _log.info("reviews: %s", error)
            except CytostreamError as error:
                _log.warning("reviews: %s", error)
            stop.wait(_PAUSE_S)

    thread = threading.Thread(target=follow, name="reviews", daemon=True)
    thread.start()
    try:
        yield acks
    finally:
        stop.set()
        thread.join()
