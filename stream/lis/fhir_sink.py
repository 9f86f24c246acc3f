"""Results to a FHIR R4 server: one transaction an event that makes one. Each resource is put by its
identifier, so that the same transaction again changes nothing.
"""

import logging
import ssl
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from stream.config import LisSettings
from stream.sinks import EventRefusedError, SinkError
from stream.store import OutboxRecord

_log = logging.getLogger(__name__)
_ANSWER_BYTES = 1_000_000  # what a server says of each resource; it is read and not kept
_LATER = (401, 403, 404, 408, 409, 412, 425, 429)  # what a person or time mends
MakeBundle = Callable[[OutboxRecord], bytes | None]


class FhirSink:
    """`make_bundle` gives the transaction of an event; None for an event that has none."""

    def __init__(self, settings: LisSettings, make_bundle: MakeBundle, what: str = "results"):
        self.name = f"fhir:{settings.fhir_to} {what}"
        self._settings = settings
        self._make_bundle = make_bundle
        self._sent_seq = 0

    def place(self) -> None:
        """The server is not asked what it has: sending again does no harm."""

    def send(self, batch: Sequence[OutboxRecord]) -> None:
        for record in batch:
            if record.seq > self._sent_seq:
                if bundle := self._make_bundle(record):
                    self._post(record, bundle)
                self._sent_seq = record.seq

    def _post(self, record: OutboxRecord, bundle: bytes) -> None:
        try:
            status = self._asked(bundle)
        except (OSError, HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise SinkError(
                f"{self.name}: {reason}", "is the server there, and its certificate?"
            ) from error
        if 200 <= status < 300:
            _log.info("result taken", extra={"event_id": record.id, "sink": self.name})
        elif 400 <= status < 500 and status not in _LATER:
            raise EventRefusedError(record.seq, f"the FHIR server answers {status}")
        else:
            raise SinkError(f"{self.name}: it answers {status}", "check lis.fhir_to and its token")

    def _asked(self, bundle: bytes) -> int:
        """The status of the answer; of its text nothing is kept: it may name a patient."""
        base = urlsplit(self._settings.fhir_to)
        connection = self._connection(base.scheme == "https", base.netloc)
        try:
            headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
            if self._settings.fhir_token_file:
                token = read_bearer(self._settings.fhir_token_file)
                headers["Authorization"] = f"Bearer {token}"
            connection.request("POST", base.path or "/", bundle, headers)
            answer = connection.getresponse()
            answer.read(_ANSWER_BYTES)
            return answer.status
        finally:
            connection.close()

    def _connection(self, is_secure: bool, place: str) -> HTTPConnection:
        if not is_secure:
            return HTTPConnection(place, timeout=self._settings.answer_s)
        authority = self._settings.fhir_ca
        context = ssl.create_default_context(cafile=str(authority) if authority else None)
        return HTTPSConnection(place, timeout=self._settings.answer_s, context=context)

    def close(self) -> None:
        """Nothing is held between two results."""


def read_bearer(path: Path) -> str:
    """The token in a file, read anew each time: it may be exchanged.

    Raises:
        SinkError: it cannot be read.
    """
    try:
        return path.read_text().strip()
    except (OSError, ValueError) as error:
        raise SinkError(f"{path}: cannot be read", "check lis.fhir_token_file") from error
