"""A process that sends, killed again and again while it sends."""

import multiprocessing
import random

from stream.outbox import Outbox
from stream.relay import move

WAIT_S = 20.0


def send_all(path, open_sink, ready=None):
    """Sends all that a store has not sent; sets `ready` once the first batch is out."""
    with Outbox(path) as outbox:
        sink = open_sink(outbox)
        while move(outbox, sink, 5):
            if ready and not ready.is_set():
                ready.set()
        sink.close()


def send_killed(path, open_sink, kills, longest_s):
    """Starts a sender and kills it (-9) at a random point, `kills` times.

    The sender is forked, so that it has imported everything already: the kill hits the sending, not the imports.
    """
    fork, rng = multiprocessing.get_context("fork"), random.Random(5)
    for _ in range(kills):
        ready = fork.Event()
        process = fork.Process(target=send_all, args=(path, open_sink, ready))
        process.start()
        assert ready.wait(WAIT_S)
        process.join(rng.uniform(0.0, longest_s))
        process.kill()
        process.join()
