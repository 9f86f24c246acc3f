"""Apache Kafka on loopback, one node, from the jars of a folder that the project does not have:
CYTOSTREAM_KAFKA_LIB, else `../shared/kafka/lib`.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

_LIB = Path(
    os.environ.get("CYTOSTREAM_KAFKA_LIB") or Path(__file__).parents[2] / "shared" / "kafka" / "lib"
)
_READY_S = 180.0
_STOP_S = 15.0
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
"""
_LOGGING = """
Configuration:
  Appenders: {Console: {name: STDOUT, PatternLayout: {pattern: "%p %m%n"}}}
  Loggers: {Root: {level: error, AppenderRef: [{ref: STDOUT}]}}
"""


def why_no_kafka() -> str:
    """Why Apache Kafka cannot be started; empty where it can."""
    if not list(_LIB.glob("kafka_*.jar")):
        return "no jars of Apache Kafka (CYTOSTREAM_KAFKA_LIB)"
    return "" if shutil.which("java") else "no Java"


class ApacheBroker:
    """Starts with `start`, keeps port and data over `stop` and `kill`, forgets both on `close`."""

    def __init__(self, options: Sequence[str] = ()) -> None:
        """`options` are of Java."""
        self._added = ""
        self._options = options
        self.port = _free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._controller = _free_port()
        self._folder = TemporaryDirectory(prefix="cytostream-kafka-")
        self._process: subprocess.Popen[bytes] | None = None

    def add(self, properties: str, **words: str | int) -> None:
        """Properties after the usual ones, whose words in braces are given; the ports are known."""
        self._added += properties.format(controller=self._controller, port=self.port, **words)

    def start(self) -> "ApacheBroker":
        """Returns when clients can connect."""
        folder = Path(self._folder.name)
        properties = folder / "server.properties"
        if not properties.exists():
            text = _PROPERTIES.format(
                controller=self._controller,
                port=self.port,
                data=folder / "data",
            )
            properties.write_text(f"{text}{self._added}")
            (folder / "log4j2.yaml").write_text(_LOGGING)
            cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            formatting = ["format", "--standalone", "-t", cluster, "-c", str(properties)]
            self._java("kafka.tools.StorageTool", *formatting).wait()
        self._process = self._java("kafka.Kafka", str(properties))
        until = time.monotonic() + _READY_S
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            assert self._process.poll() is None, (folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        raise TimeoutError("Apache Kafka does not start")

    def _java(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        folder = Path(self._folder.name)
        limits = ["-Xmx512m", "-XX:TieredStopAtLevel=1"]
        logging = f"-Dlog4j2.configurationFile={folder / 'log4j2.yaml'}"
        asked = ["java", *limits, *self._options, "-cp", f"{_LIB}/*", logging, program, *words]
        with (folder / "log").open("ab") as log:
            return subprocess.Popen(asked, stdout=log, stderr=log, cwd=folder)

    def stop(self) -> None:
        """Stops in order, where that takes no longer than a restart."""
        if self._process:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
            self.kill()

    def kill(self) -> None:
        """Stops by SIGKILL."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stops, and forgets the data."""
        self.kill()
        self._folder.cleanup()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
