"""A process that sends, killed again and again while it sends."""

import multiprocessing
import random

from stream.kafka.sink import KafkaSink
from stream.sinks.jsonl import JsonlSink
from stream.sinks.relay import send_batch
from stream.store.outbox import Outbox

WAIT_S = 20.0


def send_all(path, open_sink, ready=None):
    """Sends all that a store has not sent; sets `ready` once the first batch is out, or where there
    is none.
    """
    with Outbox(path) as outbox:
        sink = open_sink(outbox)
        while send_batch(outbox, sink, 5):
            if ready and not ready.is_set():
                ready.set()
        sink.close()
    if ready:
        ready.set()


def open_jsonl(path, _outbox):
    return JsonlSink(path)


def open_kafka(kafka, outbox):
    return KafkaSink(kafka, outbox.store_id)


def send_killed(path, open_sink, kills, longest_s):
    """Starts a sender and kills it (-9) at a random point, `kills` times.

    The senders come from a server that has imported everything already, so that the kill hits the
    sending and not the imports; forking the test's own process would copy the locks of the engines'
    threads.
    """
    fork, rng = multiprocessing.get_context("forkserver"), random.Random(5)
    fork.set_forkserver_preload(["stream.sinks.relay", "stream.kafka.sink", "stream.sinks.jsonl"])
    for _ in range(kills):
        ready = fork.Event()
        process = fork.Process(target=send_all, args=(path, open_sink, ready))
        process.start()
        assert ready.wait(WAIT_S)
        process.join(rng.uniform(0.0, longest_s))
        process.kill()
        process.join()
