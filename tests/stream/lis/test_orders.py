"""Orders from a system that this project did not write, whole and broken: answered, kept, and none
stops the next.
"""

import random
import socket
import ssl
import string

import hl7
import pytest
import trustme
from hl7.client import MLLPClient
from typer.testing import CliRunner

from stream.cli.app import app
from stream.config import Config, LisSettings
from stream.identity import Claim, Identity
from stream.lis import open_listener, orders_of
from stream.lis.listener import OrderTaker
from stream.lis.order_messages import MessageError

OML = "\r".join(
    [
        r"MSH|^~\&|LAB|Ward 7|cytostream||20261127101500||OML^O33^OML_O33|M1|P|2.5.1",
        r"PID|1||P-1070^^^HOSP||Ito\T\Sons^Anna||19700131|F",
        "SPM|1|C-77&LAB^||BLD",
        "SAC||S26-00117|C-77",
        "ORC|NW|O-1|F-1",
        "TQ1|1||||||||R",
        "OBR|1|O-1|F-1|24318-8^Manual Differential panel^LN",
        "SPM|2|C-78||BLD",
        "ORC|NW|O-2|S26-00118",
        "OBR|2|O-2||58410-2^CBC^LN",
    ]
)
ORM = "\r".join(
    [
        r"MSH|^~\&|HIS||cytostream||20261127||ORM^O01|M2|P|2.3",
        "PID|||P-9||Oja^Ben||19811201",
        "ORC|NW|O-9",
        "OBR|1|O-9|S26-9|DIFF",
        "ZXX|what others add",
    ]
)


def ends(message, control, control_id):
    return message.replace("ORC|NW", f"ORC|{control}").replace("|M1|", f"|{control_id}|")


@pytest.fixture
def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def listening(outbox, free_port):
    """Sends messages to a listener with the client of the package hl7; gives the answers."""
    with (
        open_listener(LisSettings(listen=f"127.0.0.1:{free_port}"), outbox),
        MLLPClient("127.0.0.1", free_port) as client,
    ):
        client.socket.settimeout(5)
        yield lambda text: hl7.parse(client.send_message(text).decode().strip("\x0b\x1c\r"))


def test_orders_go_into_the_worklist_and_find_their_slide(listening, outbox):
    ack = listening(OML)
    assert [str(ack.segment("MSA")[n]) for n in (1, 2)] == ["AA", "M1"]
    assert str(ack.segment("MSH")[9]) == "ACK^O33^ACK" and str(ack.segment("MSH")[5]) == "LAB"
    first, second = (order.identity for order in outbox.orders())
    assert first == Identity(
        "S26-00117", "C-77", "", "O-1", "P-1070", "Ito&Sons, Anna", "1970-01-31"
    )
    assert second.accession == "S26-00118" and second.container == "C-78"
    with outbox.transaction() as tx:
        tx.set_claims("s1", "slide", "", [Claim("slide", Identity(barcode="C-77"))])
    assert outbox.resolution("s1").status == "matched"


def test_an_old_message_of_another_form_is_read_too(listening, outbox):
    assert str(listening(ORM).segment("MSA")[1]) == "AA"
    (order,) = outbox.orders()
    assert order.identity == Identity("S26-9", "", "", "O-9", "P-9", "Oja, Ben", "1981-12-01")


def test_an_order_is_changed_and_ended(listening, outbox):
    for message in (OML, ends(OML, "XO", "M3").replace("S26-00117", "S26-7"), OML):
        assert str(listening(message).segment("MSA")[1]) == "AA"
    assert {order.identity.accession for order in outbox.orders()} >= {"S26-7", "S26-00118"}
    listening(ends(OML, "CA", "M4"))
    assert {order.state for order in outbox.orders()} == {"cancelled"}


BAD = {
    "no control id": (OML.replace("|M1|", "||"), "AR", "101"),
    "another type": (OML.replace("OML^O33^OML_O33", "ADT^A01"), "AR", "200"),
    "another event": (OML.replace("OML^O33^OML_O33", "OML^O99"), "AR", "201"),
    "another version": (OML.replace("|2.5.1", "|9.9"), "AR", "203"),
    "another character set": (OML.replace("2.5.1", "2.5.1||||||KOI8-R"), "AR", "103"),
    "no order": (OML.replace("ORC|", "NTE|"), "AE", "100"),
    "no code": (ORM.replace("O-9", "").replace("S26-9", ""), "AE", "101"),
    "another wish": (ends(OML, "QQ", "M5"), "AE", "103"),
    "a code too long": (OML.replace("S26-00117", "S" * 65), "AE", "103"),
    "no header": ("PID|1", "AR", "100"),
    "other delimiters": (OML.replace("|", "#"), "AR", "100"),
    "nothing": ("", "AR", "100"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_message_is_answered_with_the_reason_kept_and_stops_nothing(listening, outbox, name):
    text, answer, code = BAD[name]
    ack = listening(text)
    assert str(ack.segment("MSA")[1]) == answer
    assert str(ack.segment("ERR")[3]).startswith(code)
    assert "Anna" not in str(ack)
    (kept,) = outbox.refused_orders()
    assert kept.reason.startswith(f"{answer} {code}") and kept.body == text.encode()
    assert outbox.orders() == []
    assert str(listening(ORM).segment("MSA")[1]) == "AA"


def test_a_text_that_is_not_what_it_says_is_refused(outbox):
    with pytest.raises(MessageError) as error:
        orders_of(OML.encode().replace(b"Anna", b"\xff"))
    assert error.value.code == "103"
    latin = OML.replace("2.5.1", "2.5.1||||||8859/1").replace("Anna", "Änna").encode("latin-1")
    assert orders_of(latin).orders[0].identity.patient_name == "Ito&Sons, Änna"


@pytest.mark.parametrize(
    "rest", [b"\x0bMSH|^~", b"", b"\x0b" + b"x" * 300_000, b"GET / HTTP/1.1\r\n\r\n"]
)
def test_half_and_endless_messages_stop_nothing(listening, free_port, rest):
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", free_port), 5) as caller:
            caller.sendall(rest)
    assert str(listening(ORM).segment("MSA")[1]) == "AA"


def test_what_is_random_is_answered(outbox):
    mixer = random.Random(7)
    taker = OrderTaker(outbox)
    for _ in range(25):
        letters = list(OML)
        for _ in range(mixer.randrange(1, 12)):
            place = mixer.randrange(len(letters))
            letters[place] = mixer.choice([*string.printable, "|", "^", "\r", "\x1c", "\\", "Ā"])
        ack = taker.take("".join(letters).encode())
        assert hl7.parse(ack.decode()).segment("MSA")[1]
    assert taker.take(OML.encode())


def test_tls_with_a_certificate_of_the_authority(outbox, free_port, tmp_path):
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server.private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
    settings = LisSettings(
        listen=f"127.0.0.1:{free_port}",
        listen_certificate=tmp_path / "own.pem",
        listen_key=tmp_path / "own.pem",
        listen_ca=tmp_path / "ca.pem",
    )
    known = ssl.create_default_context()
    authority.configure_trust(known)
    stranger = ssl.create_default_context()
    authority.configure_trust(stranger)
    authority.issue_cert("lis.example").configure_cert(known)
    with open_listener(settings, outbox):
        with known.wrap_socket(
            socket.create_connection(("127.0.0.1", free_port), 5), server_hostname="127.0.0.1"
        ) as caller:
            caller.sendall(b"\x0b" + ORM.encode() + b"\x1c\r")
            assert b"MSA|AA" in caller.recv(4096)
        with (
            pytest.raises(OSError),
            stranger.wrap_socket(
                socket.create_connection(("127.0.0.1", free_port), 5), server_hostname="127.0.0.1"
            ) as caller,
        ):
            caller.sendall(b"\x0b" + ORM.encode() + b"\x1c\r")
            if not caller.recv(4096):
                raise ConnectionError("closed without an answer")
    assert len(outbox.orders()) == 1


def test_refused_orders_are_listed(outbox, tmp_path):
    OrderTaker(outbox).take(BAD["no order"][0].encode())
    words = ["orders", "refused", "--store", str(tmp_path / "store")]
    said = CliRunner().invoke(app, words)
    assert "AE 100: no ORC segment" in said.output and "Anna" not in said.output
    assert "Anna" in CliRunner().invoke(app, [*words, "--body"]).output


@pytest.mark.parametrize("address", ["0.0.0.0:2575", "lis.example:2575"])
def test_other_machines_need_tls(address):
    with pytest.raises(ValueError, match="without TLS"):
        Config(lis={"listen": address})
    with pytest.raises(ValueError, match="without TLS"):
        Config(lis={"results_to": address})
    assert Config(lis={"results_to": address, "insecure": True})


def test_the_numbers_of_an_order_stand_in_its_orc_or_its_obr():
    (order,) = orders_of(ORM.replace("ORC|NW|O-9", "ORC|NW").encode()).orders
    assert (order.identity.order, order.identity.accession) == ("O-9", "S26-9")
    (order,) = orders_of(ORM.replace("ORC|NW|O-9", "ORC|NW|O-8|S26-8").encode()).orders
    assert (order.identity.order, order.identity.accession) == ("O-8", "S26-8")
