"""Configuration: frozen, read once, passed down. Defaults live here; a file holds only differences."""

import os
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ingest import CytostreamError


class ConfigError(CytostreamError):
    """A configuration file that cannot be used."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Topics(Section):
    cells: str = "cytostream.cells"
    alerts: str = "cytostream.alerts"
    slides: str = "cytostream.slides"
    failures: str = "cytostream.failures"


class Kafka(Section):
    bootstrap: str = "localhost:9092"
    topics: Topics = Topics()
    security: dict[str, str | bool] = Field({}, description="for the client: security_protocol, ssl_cafile, sasl_mechanism, ...")
    linger_ms: int = Field(20, ge=0)
    compression: str | None = "gzip"
    max_event_bytes: int = Field(1_000_000, ge=10_000, description="what is larger is put aside; no more than the broker takes")
    answer_s: float = Field(10.0, gt=0, description="how long the broker may take for an answer")
    give_up_s: float = Field(10.0, gt=0, description="how long the end of a run waits for an absent broker")


class Alerts(Section):
    anomaly_above: float = Field(0.99, ge=0, le=1, description="share of normal cells that are less odd")


class Reading(Section):
    tile_px: int = Field(1024, ge=256, le=8192)
    workers: int = Field(2, ge=0)
    scheduler: str | None = None
    read_limit_s: float = Field(60.0, gt=0, description="a tile that takes longer is given up")
    survey_limit_s: float = Field(300.0, gt=0, description="a first look that takes longer is given up")


class Config(Section):
    kafka: Kafka = Kafka()
    alerts: Alerts = Alerts()
    reading: Reading = Reading()
    source: str = Field("cytostream", description="CloudEvents source: name your lab and scanner")
    share_names: bool = Field(False, description="file names and paths in events: they may name a patient")


def load_config(path: Path | None) -> Config:
    """The defaults, with the differences of a TOML file and of CYTOSTREAM_BOOTSTRAP.

    Raises:
        ConfigError: the file is absent, not TOML, or has an unknown or ill-typed key.
    """
    try:
        values = tomllib.loads(path.read_text()) if path else {}
        if bootstrap := os.environ.get("CYTOSTREAM_BOOTSTRAP"):
            values.setdefault("kafka", {})["bootstrap"] = bootstrap
        return Config(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}", "see `cytostream config`") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: {error}", "give a TOML file") from error
