"""Results to the laboratory's system over MLLP: one message an event that makes one, each
acknowledged before the next.

The system must drop a message whose control id (MSH-10) it has: after a crash the last one may come
again.
"""

import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress

from stream.config import LisSettings
from stream.http import host_and_port
from stream.sinks import EventRefusedError, SinkError
from stream.store import OutboxRecord

from .acknowledgement import ACCEPTED, Answer, read_answer
from .hl7_text import END, FRAME_BYTES_MAX, START, framed

_log = logging.getLogger(__name__)
CONTROL_ID_LETTERS = 20
_BLOCK_BYTES = 4096
MakeMessage = Callable[[OutboxRecord, str], bytes | None]


class MllpSink:
    """`make_message` gives the message of an event under a control id; None for an event that has
    none.
    """

    def __init__(self, settings: LisSettings, make_message: MakeMessage, what: str = "results"):
        self.name = f"mllp:{settings.results_to} {what}"
        self._settings = settings
        self._make_message = make_message
        self._address = host_and_port(settings.results_to)
        self._socket: socket.socket | None = None
        self._sent_seq = 0
        self._read = b""

    def place(self) -> None:
        """The system cannot be asked what it has."""

    def send(self, batch: Sequence[OutboxRecord]) -> None:
        for record in batch:
            if record.seq > self._sent_seq:
                self._send(record)
                self._sent_seq = record.seq

    def _send(self, record: OutboxRecord) -> None:
        control_id = record.id[:CONTROL_ID_LETTERS]
        message = self._make_message(record, control_id)
        if message is None:
            return
        try:
            answer = self._asked(message, control_id)
        except (OSError, ssl.SSLError) as error:
            self.close()
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise SinkError(
                f"{self.name}: {reason}", "is the laboratory's system there, and its certificate?"
            ) from error
        if answer.code not in ACCEPTED:
            reason = f"the laboratory's system answers {answer.code} {answer.error}".strip()
            raise EventRefusedError(record.seq, reason)
        _log.info("result taken", extra={"event_id": record.id, "sink": self.name})

    def _asked(self, message: bytes, control_id: str) -> Answer:
        """The answer to a message; that to an earlier one, which came late, is passed over."""
        connected = self._connected()
        connected.sendall(framed(message))
        while True:
            answer = read_answer(self._frame(connected))
            if answer is None:
                raise ConnectionError("no acknowledgement")
            if answer.control_id == control_id:
                return answer

    def _frame(self, connected: socket.socket) -> bytes:
        """The next frame, without its marks."""
        while END not in self._read:
            block = connected.recv(_BLOCK_BYTES)
            self._read += block
            if not block or len(self._read) > FRAME_BYTES_MAX:
                raise ConnectionError("half an acknowledgement")
            if self._read[:1] != START:
                raise ConnectionError("no frame of MLLP")
        frame, _, self._read = self._read.partition(END)
        return frame.removeprefix(START)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            plain = socket.create_connection(self._address, self._settings.answer_s)
            plain.settimeout(self._settings.answer_s)
            self._socket = self._secured(plain)
        return self._socket

    def _secured(self, plain: socket.socket) -> socket.socket:
        settings = self._settings
        if settings.results_ca is None:
            return plain
        try:
            context = ssl.create_default_context(cafile=str(settings.results_ca))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if settings.results_certificate:
                context.load_cert_chain(settings.results_certificate, settings.results_key)
            return context.wrap_socket(plain, server_hostname=self._address[0])
        except BaseException:
            plain.close()
            raise

    def close(self) -> None:
        if self._socket:
            with suppress(OSError):
                self._socket.close()
            self._socket = None
        self._read = b""
