"""Passwords of tests are hashed at the least cost: a login takes 0.1 s otherwise."""

from functools import partial

import pytest
from argon2 import PasswordHasher

from stream.review.web import accounts


@pytest.fixture(autouse=True, scope="session")
def cheap_hashes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "PasswordHasher", partial(PasswordHasher, 1, 8, 1))
        yield
