"""The answer to a message: made for what comes in, read from what the laboratory's system says."""

from dataclasses import dataclass
from datetime import UTC, datetime

from hl7apy.core import Message

from .hl7_text import HL7_VERSION, escaped, timestamp
from .order_messages import Header, MessageError

ACCEPTED = ("AA", "CA")
REFUSED = ("AE", "AR", "CE", "CR")


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said to which message: `code` is AA, AE, AR or CA, CE, CR; `error` of table 0357."""

    code: str
    control_id: str
    error: str = ""


def acknowledgement(header: Header, own_id: str, error: MessageError | None = None) -> bytes:
    """The acknowledgement of a message, an error with its reason."""
    message = Message("ACK", version=HL7_VERSION)
    message.msh.msh_3 = "cytostream"
    message.msh.msh_5 = escaped(header.sender)
    message.msh.msh_6 = escaped(header.sender_facility)
    message.msh.msh_7 = timestamp(datetime.now(UTC))
    message.msh.msh_9 = f"ACK^{escaped(header.event)}^ACK" if header.event else "ACK"
    message.msh.msh_10 = own_id
    message.msh.msh_11 = "P"
    message.msh.msh_18 = "UNICODE UTF-8"
    message.msa.msa_1 = error.answer if error else "AA"
    message.msa.msa_2 = escaped(header.control_id)
    if error:
        segment = message.add_segment("ERR")
        segment.err_3 = f"{error.code}^^HL70357"
        segment.err_4 = "E"
        segment.err_8 = escaped(error.what)[:250]
    return str(message.to_er7()).encode()


def read_answer(frame: bytes) -> Answer | None:
    """The answer in a frame; None where it is none. Of its texts nothing is kept: they may name a
    patient.
    """
    lines = frame[:20_000].replace(b"\n", b"\r").decode("latin-1").split("\r")
    found = {line[:3]: line.split("|") for line in reversed(lines)}
    said = found.get("MSA", [])
    if "MSH" not in found or len(said) < 3 or said[1].strip() not in (*ACCEPTED, *REFUSED):
        return None
    fault = found.get("ERR", [])
    code = fault[3].split("^")[0] if len(fault) > 3 else ""
    return Answer(said[1].strip(), said[2].strip(), code if code.isdecimal() else "")
