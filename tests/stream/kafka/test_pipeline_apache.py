"""A slide through the main path to Apache Kafka, by two relays, the first of which ends early."""

import pytest

from stream.kafka.consumer import read_all
from stream.kafka.sink import KafkaSink
from stream.run.pipeline import run_slide
from stream.sinks.relay import Relay, send_batch
from tests.make import smear
from tests.stream.run.test_pipeline import lab_in
from tests.stream.sending import WAIT_S

pytestmark = [pytest.mark.broker, pytest.mark.timeout(400)]
SENT_BEFORE = 3


def test_every_event_of_a_slide_arrives_once(apache, kafka_for, tmp_path):
    smear(tmp_path / "smear.tiff", side_px=600, whites=4)
    kafka = kafka_for(apache, answer_s=60)
    lab = lab_in(tmp_path / "store")
    first = KafkaSink(kafka, lab.outbox.store_id)
    report = run_slide(lab, tmp_path / "smear.tiff")
    assert send_batch(lab.outbox, first, SENT_BEFORE) == SENT_BEFORE
    first.close()
    with Relay(lab.outbox, KafkaSink(kafka, lab.outbox.store_id)) as relay:
        assert relay.drain(WAIT_S) == 0
    expected = [record.id for record in lab.outbox.events()]
    lab.outbox.close()
    assert report.status == "done" and len(expected) > SENT_BEFORE
    assert sorted(event.id for event in read_all(kafka)) == sorted(expected)
