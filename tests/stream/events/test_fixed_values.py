"""The numbers and switches of the events that stand outside of functions, all at once."""

from stream.events import alert, cell_events, event, event_types, failure_codes, payloads
from tests.approved import approved
from tests.fixed_values import fixed_values


def test_the_values_are_those_that_were_chosen():
    modules = (
        alert,
        cell_events,
        event,
        event_types,
        failure_codes,
        payloads,
    )
    approved(__file__, "fixed-values", fixed_values(*modules))
