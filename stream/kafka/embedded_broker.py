"""A real Kafka broker inside this process's care, for the demo and the tests: loopback only, data
in a temporary folder.
"""

import socket
import subprocess
import threading
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from ingest import CytostreamError

_READY_S = 20.0
_STOP_S = 10.0


class BrokerError(CytostreamError):
    """The embedded broker is not installed, or does not start."""


class Broker:
    """Starts with `start` or `with`, stops with `stop`. A restarted one keeps its port and its
    data.

    It keeps records in memory and writes them to disk on `stop`, not on `kill`.
    """

    def __init__(self, port: int = 0):
        """`port` 0 takes a free one."""
        self.port = port or _free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._data: TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> "Broker":
        """Returns when clients can connect.

        Raises:
            BrokerError: the `broker` extra is not installed, or the broker does not come up.
        """
        binary = _binary()
        self._data = self._data or TemporaryDirectory(prefix="cytostream-broker-")
        command = [
            binary,
            "start",
            "--only",
            "kafka",
            "--kafka-port",
            str(self.port),
            "--data-dir",
            self._data.name,
        ]
        self._process = subprocess.Popen(  # noqa: S603  the broker of the extra, words of our own
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        said: list[str] = []
        heard = threading.Event()
        ended = threading.Event()
        listening = (self._process.stdout, said, heard, ended)
        threading.Thread(target=_listen, args=listening, daemon=True).start()
        if not heard.wait(_READY_S) or ended.is_set():
            self.close()
            raise BrokerError(
                f"the embedded broker does not start: {said[-1] if said else 'no word'}",
                "is the port free?",
            )
        return self

    def stop(self) -> None:
        """Stops in order, data saved; does nothing to one that does not run."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """Stops as a power cut does: what was not on disk is lost."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stops, and forgets the data."""
        self.stop()
        if self._data:
            self._data.cleanup()
            self._data = None

    def __enter__(self) -> "Broker":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


def _listen(
    lines: IO[str], said: list[str], heard: threading.Event, ended: threading.Event
) -> None:
    """Keeps the pipe empty; `heard` when the broker has said its address or has ended."""
    with lines:
        for line in lines:
            said.append(line.strip())
            if line.split()[:1] == ["kafka"]:
                heard.set()
    ended.set()
    heard.set()


def _binary() -> str:
    """The broker itself, not its Python wrapper: killing the wrapper would leave the broker
    running.
    """
    try:
        path = Path(str(files("noida_db"))) / "noida-db"
    except ModuleNotFoundError as error:
        raise BrokerError(
            "the embedded broker is not installed", "pip install -e '.[broker]'"
        ) from error
    path.chmod(0o755)
    return str(path)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        _, port = probe.getsockname()
        return int(port)
