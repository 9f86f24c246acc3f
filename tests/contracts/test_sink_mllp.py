"""The MLLP sink keeps the contract of all sinks; a receiver drops a control id that it has."""

import pytest

from stream.config import LisSettings
from stream.events.codec import from_line, to_line
from stream.lis import MllpSink
from stream.lis.hl7_text import escaped, unescaped
from stream.sinks import EventRefusedError, SinkError
from tests.contracts.sink_contract import SinkContract, records
from tests.stream.lis.lis_server import LaboratorySystem, faulty_system, plain_ack


def as_message(record, control_id):
    """Any event as a message, for the contract's sake."""
    head = f"MSH|^~\\&|cytostream||LIS||20260102||ORU^R01|{control_id}|P|2.5.1"
    return f"{head}\rOBX|1|ST|||{escaped(to_line(record.event))}\r".encode()


@pytest.fixture
def system():
    with LaboratorySystem() as running:
        yield running


def opened(address, **settings):
    return MllpSink(LisSettings(results_to=address, **settings), as_message)


@pytest.fixture
def open_sink(system):
    sinks = []

    def open_one():
        sinks.append(opened(system.address))
        return sinks[-1]

    yield open_one
    for sink in sinks:
        sink.close()


@pytest.fixture
def received(system):
    def received():
        texts = [str(message.segment("OBX")[5]) for message in system.messages.values()]
        return [from_line(unescaped(text)) for text in texts]

    return received


class TestMllpSink(SinkContract):
    pass


@pytest.mark.parametrize("code", ["AE", "AR"])
def test_a_message_that_the_system_refuses_is_put_aside_without_its_words(system, open_sink, code):
    system.codes = ["AA", code]
    sink = open_sink()
    with pytest.raises(EventRefusedError) as refused:
        sink.send(records(1, 3))
    assert refused.value.seq == 2 and code in refused.value.reason
    sink.send([record for record in records(1, 3) if record.seq != 2])
    assert len(system.messages) == 2 and system.received == 3


@pytest.mark.parametrize(
    "reply",
    [
        lambda frame: b"\x15",  # NAK
        lambda frame: plain_ack(frame)[:20],
        lambda frame: b"\x0bMSH|^~\\&|x\r\x1c\r",
        lambda frame: b"\x0b" + b"x" * 300_000,
        lambda frame: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda frame: b"",
        None,
    ],
    ids=["nak", "half", "no answer in it", "endless", "another protocol", "closed", "silence"],
)
def test_a_fault_of_the_system_delays_and_loses_nothing(reply):
    with faulty_system(reply) as (address, received):
        sink = opened(address, answer_s=0.2)
        with pytest.raises(SinkError):
            sink.send(records(1, 1))
        sink.send(records(1, 1))
        sink.close()
    assert len(received) == 2 and received[0] == received[1]


def test_a_late_answer_to_an_earlier_message_is_passed_over():
    def late(frame):
        return plain_ack(frame, control_id="an-earlier-one") + plain_ack(frame)

    with faulty_system(late) as (address, received):
        sink = opened(address)
        sink.send(records(1, 2))
        sink.close()
    assert len(received) == 2


def test_an_absent_system_is_said_in_one_line():
    with pytest.raises(SinkError, match="refused"):
        opened("127.0.0.1:9").send(records(1, 1))


def test_tls_with_the_systems_certificate_and_no_other(tmp_path):
    import ssl

    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with LaboratorySystem(context) as system:
        sink = opened(system.address, results_ca=tmp_path / "ca.pem")
        sink.send(records(1, 1))
        sink.close()
        with pytest.raises(SinkError, match="certificate"):
            opened(system.address, results_ca=tmp_path / "other.pem").send(records(1, 1))
    assert len(system.messages) == 1
