"""Settings of the broker and its topics."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from .oidc import is_safe_address
from .section import Section

CODECS = {"snappy": "snappy", "lz4": "lz4", "zstd": "zstandard"}
ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}")
PORT_MAX = 65_535
CLIENT_CREDENTIALS = "client-credentials"
TOPIC = r"^[A-Za-z0-9._-]{1,249}$"  # what a broker takes
PROTOCOLS = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}
SECURITY_KEYS = {  # those of every client of kafka-python that a file can state
    "security_protocol",
    "ssl_cafile",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_password",
    "ssl_crlfile",
    "ssl_check_hostname",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
    "sasl_kerberos_service_name",
    "sasl_kerberos_domain_name",
    "sasl_kerberos_name",
    "proxy_url",
    "socks5_proxy",
}


class Topics(Section):
    cells: str = Field("cytostream.cells", pattern=TOPIC)
    alerts: str = Field("cytostream.alerts", pattern=TOPIC)
    slides: str = Field("cytostream.slides", pattern=TOPIC)
    failures: str = Field("cytostream.failures", pattern=TOPIC)
    reviews: str = Field("cytostream.reviews", pattern=TOPIC)
    dead: str = Field("cytostream.dead", pattern=TOPIC)
    red: str = Field("cytostream.red", pattern=TOPIC)


def is_address(server: str) -> bool:
    """Whether it is HOST:PORT, with a port that there is."""
    return bool(ADDRESS.fullmatch(server)) and 0 < int(server.rpartition(":")[2]) <= PORT_MAX


class KafkaTokens(Section):
    """Tokens of SASL OAUTHBEARER. A provider of one's own is an entry point of the group
    `cytostream.kafka_tokens` in an installed package: called with this section, it gives what,
    called without anything, gives a token. A config names no code beside those.
    """

    provider: str = Field(
        "",
        pattern=r"^[\w.-]{0,64}$",
        description="client-credentials, or the name of an installed one; empty: no tokens",
    )
    endpoint: str = Field("", description="the token endpoint, as https://login.lab.example/token")
    client_id: str = Field("", description="of this service at it")
    client_secret: SecretStr = Field(
        SecretStr(""), description="by a variable or a secret file, not here"
    )
    scope: str = Field("", description="what is asked for; spaces between")
    ca: Path | None = Field(None, description="PEM file of the authority behind its certificate")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.provider != CLIENT_CREDENTIALS:
            return self
        if not (self.client_id and self.client_secret.get_secret_value()):
            raise ValueError("client_id and client_secret are wanted")
        if not is_safe_address(self.endpoint):
            raise ValueError(f"endpoint: {self.endpoint}: https://HOST/PATH is wanted")
        return self


class Kafka(Section):
    bootstrap: str = "localhost:9092"
    topics: Topics = Topics()
    security: dict[str, str | bool] = Field(
        {}, description="for the client: security_protocol, ssl_cafile, sasl_mechanism, ..."
    )
    token: KafkaTokens = KafkaTokens()
    partitions: int = Field(4, ge=1, description="of a topic that is made here")
    replication: int = Field(
        -1, ge=-1, description="copies of a topic that is made here; -1 is the broker's default"
    )
    retention_days: float = Field(30.0, gt=0, description="of a topic that is made here")
    batch_events: int = Field(2000, ge=1, description="events a transaction")
    read_back: bool = Field(
        False, description="believe only what a consumer sees: for a broker that forgets"
    )
    linger_ms: int = Field(5, ge=0)
    compression: Literal["gzip", "snappy", "lz4", "zstd"] | None = "gzip"
    max_event_bytes: int = Field(
        1_000_000,
        ge=10_000,
        description="what is larger is put aside; no more than the broker takes",
    )
    answer_s: float = Field(10.0, gt=0, description="how long the broker may take for an answer")
    give_up_s: float = Field(
        10.0, gt=0, description="how long the end of a run waits for an absent broker"
    )

    @field_validator("compression")
    @classmethod
    def _can_compress(cls, name: str | None) -> str | None:
        package = CODECS.get(name or "")
        if package and find_spec(package) is None:
            raise ValueError(f"{name} needs {package}: pip install {package}, or take gzip")
        return name

    @field_validator("bootstrap")
    @classmethod
    def _are_addresses(cls, servers: str) -> str:
        named = [server.strip() for server in servers.split(",") if server.strip()]
        wrong = [server for server in named if not is_address(server)]
        if wrong or not named:
            raise ValueError(
                f"{', '.join(wrong) or 'empty'}: HOST:PORT is wanted, with commas between"
            )
        return ",".join(named)

    @field_validator("security")
    @classmethod
    def _are_known(cls, security: dict[str, str | bool]) -> dict[str, str | bool]:
        unknown = sorted(security.keys() - SECURITY_KEYS)
        if unknown:
            raise ValueError(f"no key {', '.join(unknown)}; of {', '.join(sorted(SECURITY_KEYS))}")
        protocol = str(security.get("security_protocol", "PLAINTEXT"))
        if protocol not in PROTOCOLS:
            raise ValueError(f"no protocol {protocol}; of {', '.join(sorted(PROTOCOLS))}")
        return security

    @model_validator(mode="after")
    def _has_an_account(self) -> Self:
        protocol = str(self.security.get("security_protocol", ""))
        mechanism = str(self.security.get("sasl_mechanism", ""))
        by_password = mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
        if protocol.startswith("SASL") and not mechanism:
            raise ValueError("security: sasl_mechanism is missing, as PLAIN or SCRAM-SHA-512")
        if by_password and not (
            self.security.get("sasl_plain_username") and self.security.get("sasl_plain_password")
        ):
            raise ValueError("security: sasl_plain_username and sasl_plain_password are missing")
        by_token = mechanism == "OAUTHBEARER" and protocol.startswith("SASL")
        if by_token != bool(self.token.provider):
            missing = "token.provider" if by_token else "sasl_mechanism OAUTHBEARER"
            raise ValueError(f"{missing} is missing: tokens need both")
        return self
