"""Orders as the laboratory's system sends them: OML^O33 and ORM^O01, versions 2.3 to 2.8.

Only the segments with codes and the patient are read; all others may hold what they like.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hl7apy.core import Message, Segment
from hl7apy.exceptions import HL7apyException
from hl7apy.parser import parse_message

from ingest import CytostreamError
from stream.identity import CODE_FIELDS, Identity, IdentityError, Order, identity_from

from .hl7_text import iso_date, unescaped

_TYPES = (("OML", "O33"), ("OML", "O21"), ("ORM", "O01"))
_READ = ("MSH", "PID", "SPM", "SAC", "ORC", "OBR")
_OPEN = ("NW", "XO", "XX", "RP", "RO", "SC", "SN", "CN")
_CHANGED = ("XO", "XX", "RP", "RO", "SC")
_CANCELLED = ("CA", "OC", "CR", "DC", "OD")
SEGMENTS_MAX = 2_000
_CHARACTER_SETS = {"": "utf-8", "UNICODE UTF-8": "utf-8", "ASCII": "ascii", "8859/1": "latin-1"}
# Of HL7 table 0357, the code of an error.
REQUIRED = "101"
SEQUENCE = "100"
VALUE = "103"
UNSUPPORTED_TYPE = "200"
UNSUPPORTED_EVENT = "201"
UNSUPPORTED_VERSION = "203"
INTERNAL = "207"


class MessageError(CytostreamError):
    """A message that is not taken: `answer` is AE or AR, `code` of table 0357; the text repeats
    nothing of the message.
    """

    def __init__(self, answer: str, code: str, what: str):
        self.answer = answer
        self.code = code
        super().__init__(what, "mend the message and send it again")

    def __reduce__(self) -> tuple[type["MessageError"], tuple[str | int, ...]]:
        return type(self), (self.answer, self.code, self.what)


@dataclass(frozen=True, slots=True)
class Header:
    """What an answer needs of a message, as far as it has it."""

    control_id: str = ""
    event: str = ""
    sender: str = ""
    sender_facility: str = ""


@dataclass(frozen=True, slots=True)
class OrderMessage:
    """The orders of a message."""

    header: Header
    orders: tuple[Order, ...] = field(default=())


def header_of(frame: bytes) -> Header:
    """The header of whatever came, read without a parser; empty fields where it has none."""
    line = frame[:2_000].replace(b"\n", b"\r").split(b"\r")[0].decode("latin-1")
    if not line.startswith("MSH") or len(line) < 9:
        return Header()
    fields = line.split(line[3])
    fields += [""] * 12

    def plain(text: str) -> str:
        return "".join(letter for letter in text if letter.isalnum() or letter in "-_. ")[:40]

    event = fields[8].split(line[4])[1:2]
    return Header(plain(fields[9]), plain("".join(event)), plain(fields[2]), plain(fields[3]))


def orders_of(frame: bytes) -> OrderMessage:
    """The orders of a message (between the marks of MLLP).

    Raises:
        MessageError: it is none, or one of its orders cannot be read; then none is taken.
    """
    message = _parsed(frame)
    orders = tuple(_orders(message))
    if not orders:
        raise MessageError("AE", SEQUENCE, "no ORC segment: there is no order in the message")
    return OrderMessage(header_of(frame), orders)


def _parsed(frame: bytes) -> Message:
    header = header_of(frame)
    line = frame[:2_000].replace(b"\n", b"\r").split(b"\r")[0].decode("latin-1")
    fields = [*line.split("|"), *[""] * 20]
    if not line.startswith("MSH|^~\\&|"):
        raise MessageError("AR", SEQUENCE, "no MSH segment with the usual delimiters")
    kind = tuple(fields[8].split("^")[:2])
    if not header.control_id:
        raise MessageError("AR", REQUIRED, "MSH-10, the control id, is missing")
    if kind[:1] not in {known[:1] for known in _TYPES}:
        raise MessageError("AR", UNSUPPORTED_TYPE, "orders are taken as OML^O33 or ORM^O01")
    if kind not in _TYPES:
        raise MessageError("AR", UNSUPPORTED_EVENT, "orders are taken as OML^O33 or ORM^O01")
    encoding = _CHARACTER_SETS.get(fields[17].split("~")[0].strip())
    if encoding is None:
        raise MessageError("AR", VALUE, "MSH-18: UNICODE UTF-8 or 8859/1 are read")
    try:
        text = frame.decode(encoding).replace("\r\n", "\r").replace("\n", "\r")
    except UnicodeDecodeError as error:
        raise MessageError("AE", VALUE, f"the text is not {encoding}") from error
    lines = [line for line in text.split("\r") if line[:3] in _READ and line[3:4] == "|"]
    if len(lines) > SEGMENTS_MAX:
        raise MessageError("AR", SEQUENCE, f"more than {SEGMENTS_MAX} segments")
    try:
        return parse_message("\r".join(lines), find_groups=False)
    except HL7apyException as error:
        code = UNSUPPORTED_VERSION if "ersion" in type(error).__name__ else SEQUENCE
        answer = "AR" if code == UNSUPPORTED_VERSION else "AE"
        raise MessageError(answer, code, f"cannot be parsed: {type(error).__name__}") from error


def _orders(message: Message) -> Iterator[Order]:
    """An order at each ORC, with the OBR that follows it, of the last patient and specimen."""
    patient = Identity()
    specimen: dict[str, str] = {}
    pending: Order | None = None
    for segment in message.children:
        name = str(segment.name)
        if name in ("PID", "SPM", "ORC") and pending:
            yield _checked(pending)
            pending = None
        if name == "PID":
            patient = _patient(segment)
        elif name == "SPM":
            specimen = {"container": _text(segment, 2, 0, 0) or _text(segment, 2, 1, 0)}
        elif name == "SAC":
            stated = {"accession": _text(segment, 2), "container": _text(segment, 3)}
            specimen |= {field: value for field, value in stated.items() if value}
        elif name == "ORC":
            pending = _begun(segment, patient, specimen)
        elif name == "OBR" and pending:
            pending = _completed(pending, segment)
    if pending:
        yield _checked(pending)


def _begun(segment: Segment, patient: Identity, specimen: dict[str, str]) -> Order:
    control = _text(segment, 1)
    if control not in (*_OPEN, *_CANCELLED):
        raise MessageError("AE", VALUE, "ORC-1: a new order (NW), a change (XO) or an end (CA)")
    codes = {"order": _text(segment, 2), "accession": _text(segment, 3), **specimen}
    return Order(
        _identity(patient, codes),
        "cancelled" if control in _CANCELLED else "open",
        "hl7",
        is_change=control in _CHANGED,
    )


def _completed(order: Order, segment: Segment) -> Order:
    own = order.identity
    codes = {
        "order": own.order or _text(segment, 2),
        "accession": own.accession or _text(segment, 3),
    }
    return replace(order, identity=_identity(own, codes))


def _checked(order: Order) -> Order:
    if not any(getattr(order.identity, name) for name in CODE_FIELDS):
        raise MessageError("AE", REQUIRED, "an order without number, accession or container")
    return order


def _patient(segment: Segment) -> Identity:
    name = [_text(segment, 5, part) for part in range(2)]
    return _identity(
        Identity(),
        {
            "patient_id": _text(segment, 3),
            "patient_name": ", ".join(part for part in name if part),
            "birth_date": iso_date(_text(segment, 7)),
        },
    )


def _identity(base: Identity, values: dict[str, str]) -> Identity:
    try:
        return identity_from({**base.known(), **values})
    except IdentityError as error:
        raise MessageError("AE", VALUE, error.what) from error


def _text(segment: Segment, number: int, component: int = 0, part: int = 0) -> str:
    """A part of a component of a field's first repetition; empty where it is not there."""
    repetition = getattr(segment, f"{segment.name.lower()}_{number}").to_er7().split("~")[0]
    components = [*repetition.split("^"), *[""] * component]
    parts = [*components[component].split("&"), *[""] * part]
    return unescaped(parts[part]).strip()
