"""Tokens of the service itself, and which provider a configuration may name."""

from types import SimpleNamespace

import pytest
from kafka.errors import KafkaConfigurationError, SaslAuthenticationFailedError
from pydantic import ValidationError

from stream.config import Kafka, KafkaTokens
from stream.kafka import tokens
from stream.kafka.client import client_settings
from stream.oauth import ClientCredentials, SignInError, client_credentials
from tests.oidc_provider import CLIENT, SECRET

SASL = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}


def asks(provider, secret=SECRET, path="token"):
    return ClientCredentials(f"{provider.issuer}/{path}", (CLIENT, secret), scope="cytostream")


def test_a_token_is_asked_for_once_and_again_near_its_end(provider, monkeypatch):
    mine = asks(provider)
    first = mine.token()
    assert mine.token() == first and provider.asked == ["/token"]
    for later, wanted in ((200, 1), (250, 2)):
        at = client_credentials.monotonic() + later
        with monkeypatch.context() as patched:
            patched.setattr(client_credentials, "monotonic", lambda at=at: at)
            mine.token()
        assert len(provider.asked) == wanted


def test_a_wrong_secret_gets_none_and_is_not_repeated(provider):
    with pytest.raises(SignInError, match="invalid_grant") as refused:
        asks(provider, "wrong-secret").token()
    assert "wrong-secret" not in str(refused.value)


def test_what_is_no_token_endpoint_is_named(provider):
    with pytest.raises(SignInError, match="does not answer"):
        ClientCredentials("http://127.0.0.1:9/token", (CLIENT, SECRET)).token()


def kafka_of(provider, **more):
    about = {"endpoint": f"{provider.issuer}/token", "client_id": CLIENT, "client_secret": SECRET}
    return Kafka(security=SASL, token={"provider": "client-credentials", **about, **more})


def test_the_client_gets_it_and_an_error_of_its_own(provider):
    ready = client_settings(kafka_of(provider))["sasl_oauth_token_provider"]
    assert ready.token().count(".") == 2
    with pytest.raises(SaslAuthenticationFailedError, match="no token"):
        client_settings(kafka_of(provider, client_secret="x"))["sasl_oauth_token_provider"].token()
    assert SECRET not in kafka_of(provider).model_dump_json()


def test_a_provider_of_an_installed_package(monkeypatch):
    entry = SimpleNamespace(name="ours", load=lambda: lambda about: lambda: f"for {about.scope}")
    monkeypatch.setattr(tokens, "entry_points", lambda group: [entry])
    ready = tokens.token_provider(KafkaTokens(provider="ours", scope="lab"), 1.0)
    assert ready.token() == "for lab"
    with pytest.raises(KafkaConfigurationError, match="of client-credentials, ours"):
        tokens.token_provider(KafkaTokens(provider="theirs"), 1.0)


@pytest.mark.parametrize("name", ["os:system", "a b", "../x", "x" * 65])
def test_a_configuration_names_no_code(name):
    with pytest.raises(ValidationError):
        KafkaTokens(provider=name)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"security": SASL}, "token.provider is missing"),
        ({"token": {"provider": "ours"}}, "OAUTHBEARER is missing"),
        ({"security": SASL, "token": {"provider": "client-credentials"}}, "client_secret"),
        (
            {
                "security": SASL,
                "token": {
                    "provider": "client-credentials",
                    "client_id": "c",
                    "client_secret": "s",
                    "endpoint": "http://login.example/token",
                },
            },
            "https",
        ),
    ],
)
def test_settings_that_lack_something_are_refused(section, says):
    with pytest.raises(ValidationError, match=says):
        Kafka(**section)
