"""A small run of every target of `make fuzz`."""

import pytest
from hypothesis import HealthCheck, settings

from tests.tools.fuzz.__main__ import TARGETS


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_whatever_comes_ends_in_an_answer_or_an_error_of_the_program(target):
    few = settings(
        max_examples=15,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    few(target)()
