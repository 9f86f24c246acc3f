import io
import socket
import sys
import threading

import pytest

from stream.kafka.embedded_broker import Broker, BrokerError, _listen


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "noida_db", None)
    with pytest.raises(BrokerError, match=r"pip install -e '\.\[broker\]'"), Broker():
        pass


def test_a_broker_that_ends_without_a_word_of_its_address_is_not_waited_for():
    said, heard, ended = [], threading.Event(), threading.Event()
    _listen(io.StringIO("address in use\n"), said, heard, ended)
    assert said == ["address in use"] and heard.is_set() and ended.is_set()


@pytest.mark.broker
def test_a_port_that_is_taken_is_an_error_at_once():
    pytest.importorskip("noida_db", reason="the broker extra is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BrokerError, match="is the port free"), Broker(taken.getsockname()[1]):
            pass


@pytest.mark.broker
def test_it_listens_here_only_and_stops(session_broker):
    host, port = session_broker.bootstrap.split(":")
    assert host == "127.0.0.1"
    with Broker() as other:
        assert other.port != session_broker.port
        process = other._process
        other.stop()
        other.stop()
    assert process.poll() is not None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", other.port))
