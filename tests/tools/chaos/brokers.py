"""The brokers under fire, behind one proxy each."""

import contextlib
import random
import time
from collections.abc import Callable

from kafka.errors import KafkaError

from stream.kafka.embedded_broker import Broker
from tests.apache_kafka import ApacheBroker, ApacheCluster
from tests.proxy import Proxy

FAILOVER_S = 6.0  # that a node of several may be away, so that others take its place, or not


class OneBroker:
    """The embedded one, or Apache Kafka; `read_back` says whether it forgets."""

    kinds: tuple[str, ...] = ("broker killed",)

    def __init__(self, broker: Broker | ApacheBroker, rng: random.Random):
        self.broker, self.rng = broker, rng
        self.read_back = isinstance(broker, Broker)
        self.ports = [broker.port]
        self.bootstrap = broker.bootstrap

    def start(self) -> None:
        self.broker.start()

    def stop(self) -> None:
        self._restart(self.broker.stop)

    def kill(self) -> None:
        self._restart(self.broker.kill)

    def _restart(self, stop: Callable[[], None]) -> None:
        stop()
        time.sleep(self.rng.uniform(0.0, 1.0))
        self.broker.start()

    def close(self) -> None:
        self.broker.close()


class ThreeBrokers:
    """Apache Kafka of three nodes."""

    kinds = ("broker killed", "coordinator killed", "coordinator killed", "all brokers killed")
    read_back = False

    def __init__(self, rng: random.Random):
        self.cluster, self.rng = ApacheCluster(), rng
        self.ports = [node.port for node in self.cluster.nodes.values()]
        self.bootstrap = self.cluster.bootstrap

    def start(self) -> None:
        self.cluster.start()

    def stop(self) -> None:
        self._restart([self._any()], ApacheBroker.stop)

    def kill(self) -> None:
        self._restart([self._any()], ApacheBroker.kill)

    def kill_all(self) -> None:
        self._restart(list(self.cluster.nodes), ApacheBroker.kill)

    def kill_coordinator(self, transactional_id: str) -> bool:
        """That of the transactions of this id; False where there is none now."""
        try:
            number = self.cluster.coordinator(transactional_id)
        except KafkaError:
            return False
        self._restart([number], ApacheBroker.kill)
        return True

    def _any(self) -> int:
        return self.rng.choice(list(self.cluster.nodes))

    def _restart(self, numbers: list[int], stop: Callable[[ApacheBroker], None]) -> None:
        nodes = [self.cluster.nodes[number] for number in numbers]
        for node in nodes:
            stop(node)
        time.sleep(self.rng.uniform(0.0, FAILOVER_S))
        for node in nodes:
            node.launch()
        for node in nodes:
            node.await_clients()

    def close(self) -> None:
        self.cluster.close()


class Proxies:
    """One before each broker, which clients take for the brokers."""

    def __init__(self, targets: list[int]):
        ports: dict[int, int] = {}
        self.each = [Proxy(target, ports=ports) for target in targets]
        self.bootstrap = ",".join(proxy.bootstrap for proxy in self.each)

    def cut(self, refuse: bool, seconds: float) -> None:
        """Ends all connections, and refuses new ones for a while."""
        for proxy in self.each:
            proxy.open = not refuse
            proxy.cut()
        time.sleep(seconds)
        for proxy in self.each:
            proxy.open = True

    def close(self) -> None:
        for proxy in self.each:
            with contextlib.suppress(OSError):
                proxy.close()


def open_brokers(name: str, rng: random.Random) -> OneBroker | ThreeBrokers:
    """Those of that name: embedded, apache or cluster."""
    if name == "cluster":
        return ThreeBrokers(rng)
    return OneBroker(ApacheBroker() if name == "apache" else Broker(), rng)
