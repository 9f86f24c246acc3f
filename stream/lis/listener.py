"""Takes orders over MLLP, in a thread of its own: each message is answered, a bad one with the
reason; it is kept, and never stops the next.
"""

import asyncio
import logging
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ingest import CytostreamError
from stream.config import LisSettings
from stream.http import check_address, host_and_port
from stream.store import Outbox

from .acknowledgement import acknowledgement
from .hl7_text import END, FRAME_BYTES_MAX, START, framed
from .order_messages import INTERNAL, SEQUENCE, MessageError, header_of, orders_of

_log = logging.getLogger(__name__)
_CALLERS_MAX = 32
IDLE_S = 600.0
WHOLE_S = 30.0  # for a frame that has begun


class OrderTaker:
    """Puts the orders of a message into the worklist, and gives the answer."""

    def __init__(self, outbox: Outbox):
        self._outbox = outbox

    def take(self, frame: bytes) -> bytes:
        """The acknowledgement of a message."""
        header = header_of(frame)
        own_id = uuid.uuid4().hex[:20]
        try:
            message = orders_of(frame)
            with self._outbox.transaction() as tx:
                for order in message.orders:
                    tx.put_order(order)
        except MessageError as error:
            self._keep(header.control_id, error, frame)
            return acknowledgement(header, own_id, error)
        except CytostreamError:
            _log.exception("an order could not be stored")
            busy = MessageError("AE", INTERNAL, "cannot be stored now: send it again")
            return acknowledgement(header, own_id, busy)
        _log.info("orders taken", extra={"count": len(message.orders)})
        return acknowledgement(header, own_id)

    def _keep(self, control_id: str, error: MessageError, frame: bytes) -> None:
        """A message that was refused, for a person of this machine; its text is not logged."""
        _log.warning("an order was refused: %s, code %s", error.what, error.code)
        with suppress(CytostreamError), self._outbox.transaction() as tx:
            tx.keep_refused_order(control_id, f"{error.answer} {error.code}: {error.what}", frame)


class Connection:
    """One caller: frame by frame, each answered before the next is read."""

    def __init__(self, answer: Callable[[bytes], bytes]):
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (frame := await self._frame(reader)) is not None:
                said = await asyncio.to_thread(self._answer, frame)
                writer.write(framed(said))
                await asyncio.wait_for(writer.drain(), WHOLE_S)
        except asyncio.LimitOverrunError:
            large = MessageError("AR", SEQUENCE, f"more than {FRAME_BYTES_MAX} bytes")
            writer.write(framed(acknowledgement(header_of(b""), uuid.uuid4().hex[:20], large)))
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            return  # half a message: there is nobody to answer
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def _frame(self, reader: asyncio.StreamReader) -> bytes | None:
        """The next frame without its marks; None at the end. What comes before a mark is noise."""
        while byte := await asyncio.wait_for(reader.read(1), IDLE_S):
            if byte == START:
                frame = await asyncio.wait_for(reader.readuntil(END), WHOLE_S)
                return frame.removesuffix(END)
        return None


@contextmanager
def open_listener(settings: LisSettings, outbox: Outbox) -> Iterator[None]:
    """Takes orders at the address of the settings.

    Raises:
        CytostreamError: it cannot be listened on, or a certificate cannot be read.
    """
    check_address(settings.listen)
    context = server_context(settings)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="orders", daemon=True)
    thread.start()
    try:
        server = _Server(settings, context, OrderTaker(outbox).take)
        asyncio.run_coroutine_threadsafe(server.open(), loop).result()
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(server.close(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Server:
    """The listening socket and its connections, of which there are never too many."""

    def __init__(
        self,
        settings: LisSettings,
        context: ssl.SSLContext | None,
        answer: Callable[[bytes], bytes],
    ):
        self._settings = settings
        self._context = context
        self._connection = Connection(answer)
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        host, port = host_and_port(self._settings.listen)
        self._server = await asyncio.start_server(
            self._called, host, port, limit=FRAME_BYTES_MAX, ssl=self._context
        )

    async def _called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= _CALLERS_MAX:
            writer.close()
            return
        task = asyncio.current_task()
        if task is None:
            return
        self._tasks.add(task)
        try:
            await self._connection.serve(reader, writer)
        finally:
            self._tasks.discard(task)

    async def close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def server_context(settings: LisSettings) -> ssl.SSLContext | None:
    """TLS of the listener; None without a certificate.

    Raises:
        CytostreamError: a file cannot be read.
    """
    if settings.listen_certificate is None:
        return None
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(settings.listen_certificate, settings.listen_key)
        if settings.listen_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(settings.listen_ca)
    except OSError as error:
        raise CytostreamError(
            f"lis.listen_certificate: cannot be used: {error}", "name PEM files that fit"
        ) from error
    return context
