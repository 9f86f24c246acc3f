"""The whole configuration: frozen, read once, passed down. Defaults live in the sections; a file
holds only differences.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails

from .alerts import Alerts
from .audit import AuditSettings
from .environment import check_passwords, merged, stated_by_environment, variable_of
from .identity import IdentitySettings
from .kafka import Kafka
from .lis import LisSettings
from .monitoring import MonitoringSettings
from .reading import Reading
from .red_cells import RedCells
from .retention import RetentionSettings
from .review import ReviewSettings
from .section import ConfigError, Section
from .store import BacklogSettings, Store
from .watch import WatchSettings


class Config(Section):
    kafka: Kafka = Kafka()
    alerts: Alerts = Alerts()
    reading: Reading = Reading()
    red_cells: RedCells = RedCells()
    backlog: BacklogSettings = BacklogSettings()
    store: Store = Store()
    watch: WatchSettings = WatchSettings()
    review: ReviewSettings = ReviewSettings()
    identity: IdentitySettings = IdentitySettings()
    lis: LisSettings = LisSettings()
    retention: RetentionSettings = RetentionSettings()
    audit: AuditSettings = AuditSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    source: str = Field("cytostream", description="CloudEvents source: name your lab and scanner")
    shadow: str = Field(
        "",
        description="a second model (folder, or name of `cytostream models`) that judges the same "
        "cells beside the one that counts; empty: none",
    )
    share_names: bool = Field(
        False, description="file names and paths in events: they may name a patient"
    )


def load_config(path: Path | None, **overrides: Mapping[str, object]) -> Config:
    """The defaults, with the differences of a TOML file, of secret files, of the environment and of
    the command line: `overrides` are values by section, None where the command line says nothing.

    Raises:
        ConfigError: the file is absent or not TOML, a value is unknown or ill-typed, wherever it
            stands, or a password stands where others can read it.
    """
    given = {
        section: {name: value for name, value in values.items() if value is not None}
        for section, values in overrides.items()
    }
    stated = stated_by_environment(Config)
    try:
        values = tomllib.loads(path.read_text()) if path else {}
        if path:
            check_passwords(path, values)
        return Config(**merged(merged(values, stated), given))
    except ValidationError as error:
        raise _config_error(path, given, stated, error.errors()[0]) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: {error}", "give a TOML file") from error


def _config_error(
    path: Path | None,
    given: Mapping[str, Mapping[str, object]],
    stated: Mapping[str, object],
    first: ErrorDetails,
) -> ConfigError:
    """The first fault, with the option, the variable or the file that states it."""
    place = [str(part) for part in first["loc"]]
    message = first["msg"]
    if len(place) > 1 and place[1] in given.get(place[0], {}):
        what = f"--{place[1].replace('_', '-')} {first['input']}: {message}"
        return ConfigError(what, "see --help, and `cytostream config` for the settings")
    variable = variable_of(place, stated)
    return ConfigError(
        f"{variable}: {message}" if variable else f"{path}: {'.'.join(place)}: {message}",
        "see `cytostream config`",
    )
