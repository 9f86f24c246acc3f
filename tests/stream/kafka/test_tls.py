"""SASL and TLS settings go through to the client: a listener that ends TLS before the real
broker.
"""

import ssl

import pytest

from stream.kafka.consumer import read_all
from stream.kafka.sink import KafkaSink
from stream.sinks.relay import Relay
from stream.sinks.sink import SinkError
from tests.proxy import Proxy
from tests.stream.making import make_events

trustme = pytest.importorskip("trustme", reason="makes the certificates")
pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def listener(session_broker, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    proxy = Proxy(session_broker.port, context)
    yield proxy
    proxy.close()


def test_events_go_over_tls_to_a_broker_whose_certificate_is_known(
    listener, authority, kafka_for, outbox, add, tmp_path
):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    security = {"security_protocol": "SSL", "ssl_cafile": str(tmp_path / "ca.pem")}
    kafka, events = kafka_for(listener, security=security), make_events(40)
    add(events)
    with Relay(outbox, KafkaSink(kafka, outbox.store_id)) as relay:
        assert relay.drain(30) == 0
    assert list(read_all(kafka)) == events


def test_an_unknown_certificate_is_refused(listener, kafka_for):
    kafka = kafka_for(listener, security={"security_protocol": "SSL"}, answer_s=2)
    with pytest.raises(SinkError):
        KafkaSink(kafka, "s").send([])


def test_a_cut_connection_delays_and_doubles_nothing(session_broker, kafka_for, outbox, add):
    proxy, events = Proxy(session_broker.port), make_events(200)
    kafka = kafka_for(proxy, answer_s=2)
    with Relay(outbox, KafkaSink(kafka, outbox.store_id), batch=10) as relay:
        for start in range(0, 200, 50):
            add(events[start : start + 50])
            proxy.cut()
        assert relay.drain(60) == 0
    assert (
        list(read_all(kafka.model_copy(update={"bootstrap": session_broker.bootstrap}))) == events
    )
    proxy.close()
