"""What every client of the broker shares: settings, a first knock, the topics, words for its
errors.
"""

import logging
import re
import socket
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import (
    AuthorizationError,
    InvalidReplicationFactorError,
    KafkaConfigurationError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    SaslAuthenticationFailedError,
    TopicAlreadyExistsError,
)

from stream.config import Kafka

from .tokens import token_provider

_log = logging.getLogger(__name__)
BROKER_MESSAGE = re.compile(r"error_message=(?P<quote>[\"'])(?P<text>.+?)(?P=quote)[,)]")


def reach(config: Kafka) -> None:
    """Knocks at the bootstrap servers: an absent one is known in milliseconds, where a client would
    try for `answer_s`.

    Raises:
        OSError: none of them can be connected to.
    """
    if "proxy_url" in config.security:
        return
    failed = OSError(f"no server in {config.bootstrap!r}")
    for server in config.bootstrap.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), config.answer_s).close()
            return
        except OSError as error:
            failed = error
    raise failed


def client_settings(config: Kafka) -> dict[str, Any]:
    """What every client of the broker needs.

    Raises:
        KafkaConfigurationError: its token provider cannot be had.
    """
    token = config.token
    provider = token_provider(token, config.answer_s) if token.provider else None
    return {
        "sasl_oauth_token_provider": provider,
        "bootstrap_servers": config.bootstrap.split(","),
        "bootstrap_timeout_ms": int(config.answer_s * 1000),
        "reconnect_backoff_max_ms": 1000,
        **config.security,
    }


def make_topics(config: Kafka) -> None:
    """Makes the topics that are not there, with the config's partitions, copies and retention; says
    where one differs.

    Raises:
        KafkaError: the broker does not answer, or does not allow it.
    """
    admin = KafkaAdminClient(**client_settings(config))
    try:
        wanted = set(config.topics.model_dump().values())
        if missing := wanted - set(admin.list_topics()):
            admin.create_topics(
                {name: _options(config) for name in sorted(missing)}, wait_for_metadata=True
            )
        for topic in admin.describe_topics(sorted(wanted - missing)) if wanted - missing else ():
            name = topic.get("name") or topic["topic"]
            parts = len(topic["partitions"])
            if parts != config.partitions:
                _log.warning(
                    "%s has %d partitions, not %d: it stays as it is",
                    name,
                    parts,
                    config.partitions,
                )
    except TopicAlreadyExistsError:
        pass  # another process was faster
    finally:
        admin.close()


def _options(config: Kafka) -> dict[str, Any]:
    keep_ms = str(int(config.retention_days * 86_400_000))
    return {
        "num_partitions": config.partitions,
        "replication_factor": config.replication,
        "configs": {"retention.ms": keep_ms},
    }


def one_line(error: Exception) -> str:
    """What the client says, in one line; of an answer of the broker, its message alone."""
    text = " ".join(str(error).split())
    answered = BROKER_MESSAGE.search(text)
    return (answered["text"] if answered else text) or type(error).__name__


def end_offsets(
    consumer: KafkaConsumer, partitions: list[TopicPartition]
) -> dict[TopicPartition, int]:
    """Where each partition ends.

    Raises:
        KafkaError: the broker does not say; kafka-python 3.0.12 has a KeyError for a partition that
        is still being made.
    """
    try:
        return consumer.end_offsets(partitions) if partitions else {}
    except KeyError as error:
        raise LeaderNotAvailableError(f"the broker does not lead {error} yet") from error


def hint(error: Exception) -> str:
    """What to do next."""
    if isinstance(error, AuthorizationError):
        return (
            "give this client the rights to write the topics and to use transactions; what is "
            "not sent waits in the store"
        )
    if isinstance(error, ValueError):
        return "check [kafka] in the config; what is not sent waits in the store"
    if isinstance(error, SaslAuthenticationFailedError):
        return (
            "check the account and password in [kafka.security], or [kafka.token]; what is not "
            "sent waits"
        )
    if isinstance(error, KafkaConfigurationError):
        return "install the package that has it, or name another; what is not sent waits"
    if isinstance(error, InvalidReplicationFactorError):
        return "set kafka.replication to at most the number of brokers; what is not sent waits"
    if isinstance(error, KafkaTimeoutError) and "bootstrap" in str(error):
        return (
            "the port is open, but not to a client of this protocol: check it and "
            "security_protocol in [kafka.security]; what is not sent waits in the store"
        )
    return (
        "is the broker up, kafka.bootstrap right, and [kafka.security] its protocol? What is not "
        "sent waits in the store and goes out by itself; --sink none does without a broker"
    )
