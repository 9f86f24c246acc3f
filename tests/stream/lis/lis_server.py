"""The laboratory's system of these tests: the MLLP server of the package `hl7`, which this project
did not write, and a listener with faults.
"""

import asyncio
import socket
import threading
from contextlib import contextmanager, suppress

import hl7
from hl7.mllp import start_hl7_server

from stream.lis.hl7_text import END, START


class LaboratorySystem:
    """Keeps each message once by its control id, as a receiver must; answers as `codes` say, then
    AA.
    """

    def __init__(self, context=None):
        self.messages = {}
        self.received = 0
        self.codes = []
        self._writers = []
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        opening = start_hl7_server(self._talk, "127.0.0.1", 0, encoding="utf-8", ssl=self._context)
        self._server = asyncio.run_coroutine_threadsafe(opening, self._loop).result()
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = f"{host}:{port}"
        return self

    async def _talk(self, reader, writer):
        self._writers.append(writer)
        try:
            while not writer.is_closing():
                message = await reader.readmessage()
                self.received += 1
                code = self.codes.pop(0) if self.codes else "AA"
                if code == "AA":
                    self.messages.setdefault(str(message.segment("MSH")[10]), message)
                writer.writemessage(message.create_ack(code))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    def __exit__(self, *_):
        async def end():
            self._server.close()
            for writer in self._writers:
                writer.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for writer in self._writers:
                with suppress(OSError):
                    await writer.wait_closed()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def plain_ack(frame, code="AA", control_id=None):
    sent = hl7.parse(frame.decode().strip("\x0b\x1c\r"))
    ack = str(sent.create_ack(code))
    if control_id:
        ack = ack.replace(str(sent.segment("MSH")[10]), control_id)
    return START + ack.encode() + END


@contextmanager
def faulty_system(*replies):
    """Answers the first messages with these: a function of the frame, or None for silence; then as
    it should. Gives its address and what it received.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    received = []
    left = list(replies)
    stop = threading.Event()

    def talk():
        listening.settimeout(0.1)
        while not stop.is_set():
            try:
                connected, _ = listening.accept()
            except TimeoutError:
                continue
            with connected:
                connected.settimeout(2)
                answer(connected)

    def answer(connected):
        frame = b""
        while True:
            try:
                block = connected.recv(65_536)
            except (TimeoutError, ConnectionError):
                return
            if not block:
                return
            frame += block
            if END not in frame:
                continue
            received.append(frame)
            reply = left.pop(0) if left else plain_ack
            if reply is None:
                connected.recv(1)  # until the caller gives up
                return
            said = reply(frame)
            connected.sendall(said)
            if not said.endswith(END):
                return
            frame = b""

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    try:
        yield "{}:{}".format(*listening.getsockname()), received
    finally:
        stop.set()
        thread.join()
        listening.close()
