"""The numbers and switches of sending to Kafka that stand outside of functions, all at once."""

from stream.kafka import consumer, delivery_check, embedded_broker, sink
from tests.approved import approved
from tests.fixed_values import fixed_values


def test_the_values_are_those_that_were_chosen():
    modules = (
        consumer,
        delivery_check,
        embedded_broker,
        sink,
    )
    approved(__file__, "fixed-values", fixed_values(*modules))
