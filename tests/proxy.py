"""A TCP proxy before a Kafka broker: it can cut connections, refuse new ones, and end TLS.

A broker tells its clients its own address and those of its fellows, so the proxy writes its own and
those of their proxies in the place of them: same host, four bytes of port.
"""

import contextlib
import socket
import ssl
import struct
import threading

HOST = "127.0.0.1"


class Proxy:
    """Forwards to `target` (a port of this machine) until `close`; with `tls`, clients speak TLS to
    it. `ports` is shared by the proxies of a cluster: that of each broker and of its proxy.
    """

    def __init__(
        self,
        target: int,
        tls: ssl.SSLContext | None = None,
        ports: dict[int, int] | None = None,
    ):
        self.target, self.tls = target, tls
        self.ports = {} if ports is None else ports
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.ports[target] = self.port
        self.bootstrap = f"{HOST}:{self.port}"
        self.open, self.cuts = True, 0
        self.lines: set[socket.socket] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self) -> None:
        """Ends every connection, as a pulled plug does after a while."""
        self.cuts += 1
        for line in list(self.lines):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.open = False
        self.listener.close()
        self.cut()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                if self.open:
                    threading.Thread(target=self._serve, args=(client,), daemon=True).start()
                else:
                    client.close()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(client)
            if self.tls:
                client = stack.enter_context(self.tls.wrap_socket(client, server_side=True))
            server = stack.enter_context(socket.create_connection((HOST, self.target)))
            self.lines |= {client, server}
            stack.callback(self.lines.difference_update, {client, server})
            back = threading.Thread(target=self._answers, args=(server, client), daemon=True)
            back.start()
            forward(client, server)
            back.join(1)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        """Whole answers, with our ports in the place of the brokers'."""
        with contextlib.suppress(OSError):
            while head := exactly(server, 4):
                body = exactly(server, struct.unpack(">i", head)[0])
                for theirs, ours in self.ports.items():
                    body = body.replace(address(theirs), address(ours))
                client.sendall(head + body)
            client.shutdown(socket.SHUT_RDWR)


def address(port: int) -> bytes:
    """As a broker writes it."""
    return HOST.encode() + struct.pack(">i", port)


def forward(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def exactly(line: socket.socket, count: int) -> bytes:
    """`count` bytes; none where the line ends before."""
    parts = bytearray()
    while len(parts) < count:
        if not (data := line.recv(count - len(parts))):
            return b""
        parts += data
    return bytes(parts)
