"""Apache Kafka checks the tokens of client credentials by the provider's keys (OAUTHBEARER)."""

import socket
from contextlib import closing

import pytest

from stream.kafka.consumer import read_all
from stream.kafka.sink import KafkaSink
from stream.sinks.relay import Relay
from stream.sinks.sink import SinkError
from tests.apache_kafka import ApacheBroker, why_no_kafka
from tests.oidc_provider import CLIENT, SECRET, Provider
from tests.stream.making import make_events

pytestmark = [
    pytest.mark.broker,
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_no_kafka()), reason=why_no_kafka() or "Apache Kafka is there"),
]
HANDLER = "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler"
MODULE = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
PROPERTIES = """
listeners=PLAINTEXT://127.0.0.1:{inner},CONTROLLER://127.0.0.1:{controller},TOKEN://127.0.0.1:{port}
advertised.listeners=PLAINTEXT://127.0.0.1:{inner},TOKEN://127.0.0.1:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,TOKEN:SASL_PLAINTEXT
listener.name.token.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.token.oauthbearer.sasl.jaas.config={module} required;
listener.name.token.oauthbearer.sasl.server.callback.handler.class={handler}
listener.name.token.oauthbearer.sasl.oauthbearer.jwks.endpoint.url={issuer}/jwks
listener.name.token.oauthbearer.sasl.oauthbearer.expected.audience=kafka
listener.name.token.oauthbearer.sasl.oauthbearer.expected.issuer={issuer}
"""
SASL = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "OAUTHBEARER"}


@pytest.fixture(scope="module")
def provider():
    with closing(Provider()) as made:
        yield made


@pytest.fixture(scope="module")
def apache(provider):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        inner = free.getsockname()[1]
    allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={provider.issuer}/jwks"
    broker = ApacheBroker(options=[allowed])
    broker.add(PROPERTIES, inner=inner, module=MODULE, handler=HANDLER, issuer=provider.issuer)
    with closing(broker):
        yield broker.start()


def with_tokens(kafka_for, apache, provider, **more):
    token = {
        "provider": "client-credentials",
        "endpoint": f"{provider.issuer}/token",
        "client_id": CLIENT,
        "client_secret": SECRET,
        "scope": "cytostream",
    }
    return kafka_for(apache, security=SASL, token={**token, **more}, answer_s=20)


def test_events_go_out_and_come_back_by_tokens(apache, provider, kafka_for, outbox, add):
    provider.reset()
    kafka = with_tokens(kafka_for, apache, provider)
    events = make_events(20)
    add(events)
    with Relay(outbox, KafkaSink(kafka, outbox.store_id)) as relay:
        assert relay.drain(60) == 0
    assert list(read_all(kafka)) == events


def test_the_broker_refuses_another_token(apache, provider, kafka_for):
    provider.reset()
    provider.claims = {"aud": "another"}
    kafka = with_tokens(kafka_for, apache, provider)
    with pytest.raises(SinkError):
        KafkaSink(kafka.model_copy(update={"answer_s": 2.0}), "s").send([])
