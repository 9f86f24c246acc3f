"""Results to a server by HTTP, one request an event that makes one: a transaction to a FHIR R4
server, an instance to a DICOM server (STOW-RS, PS3.18 10.5). What is sent has identifiers of its
own, so that the same once more changes nothing.
"""

import json
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from stream.config import LisSettings
from stream.sinks import EventRefusedError, SinkError
from stream.store import OutboxRecord

_log = logging.getLogger(__name__)
_ANSWER_BYTES = 1_000_000  # what a server says of what it was given; it is read and not kept
_LATER = (401, 403, 404, 408, 425, 429)  # what a person or time mends
FHIR_LATER = (*_LATER, 409, 412)
FAILED_INSTANCES = "00081198"  # Failed SOP Sequence, in a DICOM server's answer
MakeBody = Callable[[OutboxRecord], bytes | None]


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """A server: its address, what of the configuration names it, the file with its bearer token and
    that of the authority behind its certificate, how long it may take, and the statuses after which
    the same is sent again later.
    """

    kind: str
    address: str
    setting: str
    token_file: Path | None
    authority: Path | None
    answer_s: float
    later: tuple[int, ...]
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpSink:
    """`make` gives the body for an event; None for an event that has none."""

    def __init__(self, name: str, target: HttpTarget, make: MakeBody):
        self.name = name
        self._target = target
        self._make = make
        self._sent_seq = 0

    def place(self) -> None:
        """The server is not asked what it has: sending again does no harm."""

    def send(self, batch: Sequence[OutboxRecord]) -> None:
        for record in batch:
            if record.seq > self._sent_seq:
                if body := self._make(record):
                    self._post(record, body)
                self._sent_seq = record.seq

    def _post(self, record: OutboxRecord, body: bytes) -> None:
        try:
            status, answer = self._asked(*self.framed(body))
        except (OSError, HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise SinkError(
                f"{self.name}: {reason}", "is the server there, and its certificate?"
            ) from error
        kind = self._target.kind
        if 200 <= status < 300:
            if self.is_refused(answer):
                raise EventRefusedError(record.seq, f"the {kind} server has not kept it")
            _log.info("result taken", extra={"event_id": record.id, "sink": self.name})
        elif 400 <= status < 500 and status not in self._target.later:
            raise EventRefusedError(record.seq, f"the {kind} server answers {status}")
        else:
            setting = self._target.setting
            raise SinkError(f"{self.name}: it answers {status}", f"check {setting} and its token")

    def framed(self, body: bytes) -> tuple[bytes, Mapping[str, str]]:
        """The body as it is sent, with its headers."""
        return body, self._target.headers

    def is_refused(self, answer: bytes) -> bool:
        """Whether a server that answers with success says that it has not kept what was sent."""
        return False

    def _asked(self, body: bytes, about: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and text of the answer; nothing of the text is kept: it may name a patient."""
        target = self._target
        base = urlsplit(target.address)
        connection = self._connection(base.scheme == "https", base.netloc)
        try:
            headers = dict(about)
            if target.token_file:
                token = read_bearer(target.token_file, f"{target.setting[:-3]}_token_file")
                headers["Authorization"] = f"Bearer {token}"
            connection.request("POST", base.path or "/", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(_ANSWER_BYTES)
        finally:
            connection.close()

    def _connection(self, is_secure: bool, place: str) -> HTTPConnection:
        if not is_secure:
            return HTTPConnection(place, timeout=self._target.answer_s)
        authority = self._target.authority
        context = ssl.create_default_context(cafile=str(authority) if authority else None)
        return HTTPSConnection(place, timeout=self._target.answer_s, context=context)

    def close(self) -> None:
        """Nothing is held between two results."""


class FhirSink(HttpSink):
    """Results to a FHIR R4 server: each resource is put by its identifier."""

    def __init__(self, settings: LisSettings, make_bundle: MakeBody, what: str = "results"):
        target = HttpTarget(
            kind="FHIR",
            address=settings.fhir_to,
            setting="lis.fhir_to",
            token_file=settings.fhir_token_file,
            authority=settings.fhir_ca,
            answer_s=settings.answer_s,
            later=FHIR_LATER,
            headers={"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"},
        )
        super().__init__(f"fhir:{settings.fhir_to} {what}", target, make_bundle)


class StowSink(HttpSink):
    """Annotations of signed slides to a DICOM server, as STOW-RS has it.

    Raises:
        SinkError: the package that makes them is not installed.
    """

    def __init__(self, settings: LisSettings, make_instance: MakeBody, what: str = "results"):
        if find_spec("highdicom") is None:
            raise SinkError("lis.stow_to needs highdicom", "pip install 'cytostream[dicom]'")
        target = HttpTarget(
            kind="DICOM",
            address=f"{settings.stow_to.rstrip('/')}/studies",
            setting="lis.stow_to",
            token_file=settings.stow_token_file,
            authority=settings.stow_ca,
            answer_s=settings.answer_s,
            later=_LATER,
            headers={"Accept": "application/dicom+json"},
        )
        super().__init__(f"stow:{settings.stow_to} {what}", target, make_instance)

    def framed(self, body: bytes) -> tuple[bytes, Mapping[str, str]]:
        """One part of a multipart body, between lines that are not in it."""
        line = sha256(body).hexdigest().encode()
        parts = [b"--" + line, b"Content-Type: application/dicom", b"", body, b"--" + line + b"--"]
        kind = f'multipart/related; type="application/dicom"; boundary={line.decode()}'
        return b"\r\n".join([*parts, b""]), {**self._target.headers, "Content-Type": kind}

    def is_refused(self, answer: bytes) -> bool:
        """Whether the answer lists the instance among those that failed."""
        try:
            said = json.loads(answer or b"{}")
        except (ValueError, RecursionError):
            return False
        listed = said if isinstance(said, list) else [said]
        failed = [one.get(FAILED_INSTANCES) for one in listed if isinstance(one, dict)]
        return any(isinstance(one, dict) and one.get("Value") for one in failed)


def read_bearer(path: Path, setting: str) -> str:
    """The token in a file, read anew each time: it may be exchanged.

    Raises:
        SinkError: it cannot be read.
    """
    try:
        return path.read_text().strip()
    except (OSError, ValueError) as error:
        raise SinkError(f"{path}: cannot be read", f"check {setting}") from error
