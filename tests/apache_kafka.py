"""Apache Kafka on loopback, one node or several, from the jars of a folder that the project does
not have: CYTOSTREAM_KAFKA_LIB, else `../shared/kafka/lib`.
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

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

_LIB = Path(
    os.environ.get("CYTOSTREAM_KAFKA_LIB") or Path(__file__).parents[2] / "shared" / "kafka" / "lib"
)
_READY_S = 180.0
_STOP_S = 15.0
_PROPERTIES = """
process.roles=broker,controller
node.id={number}
{quorum}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor={copies}
transaction.state.log.replication.factor={copies}
default.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
min.insync.replicas={in_sync}
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
"""
# a dead node of several is noticed after 3 s in place of 9
_SEVERAL = """
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""
_SMALL_HEAP = "-Xmx256m"
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
    """A node. Starts with `start`, keeps port and data over `stop` and `kill`, forgets both on
    `close`.
    """

    def __init__(self, options: Sequence[str] = (), number: int = 1) -> None:
        """`options` are of Java; `number` is that of a node of several."""
        self._added = ""
        self._options = options
        self._number = number
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
        if not self._properties.exists():
            alone = f"controller.quorum.bootstrap.servers=127.0.0.1:{self._controller}"
            self.format(alone, _new_id(), 1, "--standalone").wait()
        self.launch()
        return self.await_clients()

    @property
    def voter(self) -> str:
        """As the other nodes name this one."""
        return f"{self._number}@127.0.0.1:{self._controller}"

    @property
    def _properties(self) -> Path:
        return Path(self._folder.name) / "server.properties"

    def format(
        self, quorum: str, cluster: str, copies: int, *words: str
    ) -> "subprocess.Popen[bytes]":
        """Begins to make the node's folder; `quorum` is the property that names the controllers."""
        text = _PROPERTIES.format(
            number=self._number,
            quorum=quorum,
            controller=self._controller,
            port=self.port,
            data=self._properties.with_name("data"),
            copies=copies,
            in_sync=copies // 2 + 1,
        )
        self._properties.write_text(f"{text}{self._added}")
        self._properties.with_name("log4j2.yaml").write_text(_LOGGING)
        # an id may begin with "-", which would be an option
        asked = ["format", *words, f"--cluster-id={cluster}", "-c", str(self._properties)]
        return self._java("kafka.tools.StorageTool", *asked)

    def launch(self) -> None:
        """Starts the process, and does not wait."""
        self._process = self._java("kafka.Kafka", str(self._properties))

    def await_clients(self) -> "ApacheBroker":
        """Returns when clients can connect."""
        assert self._process
        until = time.monotonic() + _READY_S
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            assert self._process.poll() is None, (Path(self._folder.name) / "log").read_text()[
                -2000:
            ]
            time.sleep(0.1)
        raise TimeoutError("Apache Kafka does not start")

    def _java(self, program: str, *words: str) -> "subprocess.Popen[bytes]":
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


class ApacheCluster:
    """Several nodes, each broker and controller, that keep `count` copies of everything; a majority
    must have what is acknowledged.
    """

    def __init__(self, count: int = 3) -> None:
        self.nodes = {number: ApacheBroker([_SMALL_HEAP], number) for number in range(1, count + 1)}
        self.bootstrap = ",".join(node.bootstrap for node in self.nodes.values())

    def start(self) -> "ApacheCluster":
        """Returns when all nodes take part."""
        nodes = self.nodes.values()
        quorum = f"controller.quorum.voters={','.join(node.voter for node in nodes)}"
        cluster = _new_id()
        for node in nodes:
            node.add(_SEVERAL)
        for making in [node.format(quorum, cluster, len(nodes)) for node in nodes]:
            making.wait()
        for node in nodes:
            node.launch()
        for node in nodes:
            node.await_clients()
        self.await_all()
        return self

    def await_all(self) -> None:
        """Returns when every node takes part again."""
        until = time.monotonic() + _READY_S
        while time.monotonic() < until:
            with contextlib.suppress(KafkaError, OSError), self._asked() as admin:
                if len(admin.describe_cluster()["brokers"]) == len(self.nodes):
                    return
            time.sleep(0.2)
        raise TimeoutError("not all nodes of Apache Kafka take part")

    def coordinator(self, transactional_id: str) -> int:
        """The number of the node that keeps the transactions of that id.

        Raises:
            KafkaError: there is none now.
        """
        with self._asked() as admin:
            found = admin.describe_transactions([transactional_id])
        return int(found[transactional_id].coordinator_id)

    @contextlib.contextmanager
    def _asked(self):
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap.split(","))
        try:
            yield admin
        finally:
            admin.close()

    def close(self) -> None:
        """Stops all, and forgets the data."""
        for node in self.nodes.values():
            node.close()


def _new_id() -> str:
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
