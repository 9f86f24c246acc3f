"""kafka-python has no public way to wait for a coordinator with a limit: what the sink leans on
instead is checked here, so that an update which moves it fails in this file.
"""

import inspect

import pytest
from kafka import KafkaProducer
from kafka.producer.sender import Sender
from kafka.producer.transaction_manager import TransactionalRequestResult, TransactionManager


@pytest.mark.parametrize(
    ("owner", "method", "arguments"),
    [
        (TransactionManager, "send_offsets_to_transaction", 2),
        (TransactionManager, "begin_commit", 0),
        (TransactionManager, "begin_abort", 0),
        (TransactionalRequestResult, "wait", 1),
        (Sender, "wakeup", 0),
        (Sender, "force_close", 0),
        (Sender, "join", 1),
    ],
)
def test_what_the_sink_calls_takes_what_it_gives(owner, method, arguments):
    signature = inspect.signature(getattr(owner, method))
    signature.bind(*range(1 + arguments))


@pytest.mark.parametrize("name", ["_transaction_manager", "_sender"])
def test_a_producer_keeps_both_where_the_sink_finds_them(name):
    assert name in KafkaProducer.__init__.__code__.co_names
