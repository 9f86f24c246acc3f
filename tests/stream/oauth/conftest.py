"""One provider for all tests of a file: each has it as it was at first."""

import pytest

from tests.oidc_provider import Provider


@pytest.fixture(scope="module")
def running_provider():
    made = Provider()
    yield made
    made.close()


@pytest.fixture
def provider(running_provider):
    running_provider.reset()
    return running_provider
