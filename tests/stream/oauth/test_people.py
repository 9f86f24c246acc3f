"""Names of people whom a provider signs in, beside those of accounts."""

from contextlib import closing

import pytest

from stream.config import OidcSettings
from stream.oauth import SignedIn, SignInError
from stream.review.web.accounts import AccountError, Accounts
from tests.oidc_provider import ROLES

PASSWORD = "correct horse battery"
ISSUER = "https://login.example"
OIDC = OidcSettings(issuer=ISSUER, client_id="c", address="https://lab.example", roles=ROLES)


@pytest.fixture
def accounts(tmp_path):
    with closing(Accounts(tmp_path)) as made:
        yield made


def person(name="ada", subject="u-1", issuer=ISSUER, groups=("haematology",)):
    return SignedIn(issuer, subject, name, "Ada Ito", groups)


def test_no_name_of_an_account_now_or_before_gets_in(accounts):
    for name in ("root", "bob"):
        accounts.set(name, "admin", PASSWORD)
    accounts.remove("bob")
    bad = ("root", "ROOT", "bob", "Bob", "eve", "Eve", "", "a b", "\u0430da", "x" * 65, ":local")
    for name in bad:
        with pytest.raises(SignInError):
            accounts.provided.admit(person(name), local_name="eve")
    assert accounts.provided.everyone() == []


@pytest.mark.parametrize(
    "other",
    [
        person(subject="u-2"),
        person("ADA", subject="u-2"),
        person(issuer="https://other.example"),
    ],
)
def test_a_name_stays_that_of_one_person(accounts, other):
    assert accounts.provided.admit(person()).name == "ada"
    with pytest.raises(SignInError, match="somebody else"):
        accounts.provided.admit(other)
    renamed = accounts.provided.admit(person("lovelace"))
    assert (renamed.name, accounts.provided.named("lovelace")) == ("ada", None)
    assert accounts.provided.everyone() == [renamed]


def test_no_account_gets_the_name_of_somebody_who_is_signed_in(accounts):
    accounts.provided.admit(person())
    for name in ("ada", "Ada"):
        with pytest.raises(AccountError, match="signed in by a provider"):
            accounts.set(name, "admin", PASSWORD)


def test_who_is_removed_stays_out(accounts):
    accounts.provided.admit(person())
    token = accounts.begin_provided("ada", 1)
    assert accounts.who_provided(token, OIDC).role == "reviewer"
    accounts.remove("ada")
    assert accounts.who_provided(token, OIDC) is None
    with pytest.raises(SignInError):
        accounts.provided.admit(person())


def test_a_session_counts_for_its_provider_and_mode_alone(accounts):
    accounts.provided.admit(person())
    token = accounts.begin_provided("ada", 1)
    assert accounts.who(token) is None and not accounts.is_local(token)
    for change in ({"issuer": "https://other.example"}, {"roles": {"chief": "admin"}}):
        other = OidcSettings(**{**OIDC.model_dump(), **change})
        assert accounts.who_provided(token, other) is None
    accounts.set("root", "admin", PASSWORD)
    for other in (accounts.begin(accounts.people()[0], 1), accounts.begin_local(1), "", "x"):
        assert accounts.who_provided(other, OIDC) is None
    assert accounts.who_provided(token, OIDC).shown == "Ada Ito"


def test_the_role_is_that_of_the_last_sign_in_and_of_the_configuration(accounts):
    accounts.provided.admit(person())
    token = accounts.begin_provided("ada", 1)
    accounts.provided.admit(person(groups=("chief", "haematology")))
    assert accounts.who_provided(token, OIDC).role == "admin"
    accounts.provided.admit(person(groups=()))
    assert accounts.who_provided(token, OIDC) is None
