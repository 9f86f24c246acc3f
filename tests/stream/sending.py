"""What a process of its own does, to be killed while it does it."""

from stream.outbox import Outbox
from stream.relay import move
from stream.sink_kafka import KafkaSink


def send_all(path, kafka, ready=None):
    """Sends all that a store has not sent; sets `ready` once the first batch is out."""
    with Outbox(path) as outbox:
        sink = KafkaSink(kafka, outbox.store_id)
        while move(outbox, sink, 7):
            if ready and not ready.is_set():
                ready.set()
        sink.close()
