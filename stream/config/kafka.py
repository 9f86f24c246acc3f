"""Settings of the broker and its topics."""

import re
from importlib.util import find_spec
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from .section import Section

CODECS = {"snappy": "snappy", "lz4": "lz4", "zstd": "zstandard"}
ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}")


class Topics(Section):
    cells: str = "cytostream.cells"
    alerts: str = "cytostream.alerts"
    slides: str = "cytostream.slides"
    failures: str = "cytostream.failures"
    reviews: str = "cytostream.reviews"
    dead: str = "cytostream.dead"
    red: str = "cytostream.red"


class Kafka(Section):
    bootstrap: str = "localhost:9092"
    topics: Topics = Topics()
    security: dict[str, str | bool] = Field(
        {}, description="for the client: security_protocol, ssl_cafile, sasl_mechanism, ..."
    )
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
        wrong = [server for server in named if not ADDRESS.fullmatch(server)]
        if wrong or not named:
            raise ValueError(
                f"{', '.join(wrong) or 'empty'}: HOST:PORT is wanted, with commas between"
            )
        return ",".join(named)

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
        return self
