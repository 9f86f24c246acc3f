"""A part of the configuration: frozen, and an unknown key is an error."""

from pydantic import BaseModel, ConfigDict

from ingest import CytostreamError


class ConfigError(CytostreamError):
    """A configuration file that cannot be used."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
