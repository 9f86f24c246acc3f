"""What is said of a broker that refuses, and what to set."""

import pytest
from kafka.errors import InvalidReplicationFactorError, KafkaTimeoutError

from stream.kafka.client import hint, one_line

REFUSED = (
    "[Error 38] InvalidReplicationFactorError: ([Result(version=7, name='r3.slides', "
    "error_code=38, error_message='Unable to replicate the partition 3 time(s)', configs=[])])"
)


@pytest.mark.parametrize(
    ("error", "words", "step"),
    [
        (
            InvalidReplicationFactorError(REFUSED),
            "Unable to replicate the partition 3 time(s)",
            "kafka.replication",
        ),
        (KafkaTimeoutError("Unable to bootstrap from ['127.0.0.1:1']"), "bootstrap", "protocol"),
        (OSError("refused"), "refused", "is the broker up"),
        (OSError(), "OSError", "is the broker up"),
    ],
)
def test_the_message_and_what_to_set(error, words, step):
    said = one_line(error)
    assert words in said and "Result(" not in said and step in hint(error)
