"""What the environment states of the configuration: variables as CYTOSTREAM_KAFKA__BOOTSTRAP, and
files of secrets as kafka__security__sasl_plain_password in the folder CYTOSTREAM_SECRETS.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from .section import ConfigError, Section

PREFIX = "CYTOSTREAM_"
BETWEEN = "__"
SECRETS = "CYTOSTREAM_SECRETS"
BOOTSTRAP = "CYTOSTREAM_BOOTSTRAP"
PASSWORDS = ("password", "client_secret")
Values = dict[str, Any]  # as TOML gives it


def stated_by_environment(config: type[Section]) -> Values:
    """The values of secret files, and over them those of variables, by section.

    Raises:
        ConfigError: a variable or file names no section, or the folder is not there.
    """
    folder = os.environ.get(SECRETS, "")
    variables = [name for name in os.environ if name.startswith(PREFIX) and BETWEEN in name]
    values: Values = {}
    if folder or variables:
        values = _read(config, folder, variables)
    if bootstrap := os.environ.get(BOOTSTRAP):
        values = merged(values, {"kafka": {"bootstrap": bootstrap}})
    return values


def variable_of(place: Collection[str], stated: Mapping[str, Any]) -> str:
    """The variable that states a value; empty where the environment does not."""
    if list(place) == ["kafka", "bootstrap"] and os.environ.get(BOOTSTRAP):
        return BOOTSTRAP
    found: Any = stated
    for part in place:
        if not isinstance(found, Mapping) or part not in found:
            return ""
        found = found[part]
    return PREFIX + BETWEEN.join(place).upper()


def merged(below: Values, above: Mapping[str, Any]) -> Values:
    """The values of both, those of `above` where they differ."""
    joined = dict(below)
    for name, value in above.items():
        known = joined.get(name)
        both = isinstance(value, Mapping) and isinstance(known, dict)
        joined[name] = merged(known, value) if both and known is not None else value
    return joined


def _read(config: type[Section], folder: str, variables: Collection[str]) -> Values:
    from pydantic_settings import (  # only where the environment states something
        BaseSettings,
        EnvSettingsSource,
        NestedSecretsSettingsSource,
        SettingsConfigDict,
    )

    class Environment(BaseSettings, config):  # type: ignore[misc, valid-type]
        model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter=BETWEEN)

    if folder and not Path(folder).is_dir():
        raise ConfigError(f"{SECRETS}: {folder}: no such folder", "name the folder with the files")
    files = [path.name for path in Path(folder).iterdir()] if folder else []
    for name in [*variables, *(f"{PREFIX}{file}" for file in files if not file.startswith("."))]:
        section = name.removeprefix(PREFIX).lower().partition(BETWEEN)[0]
        if section not in config.model_fields:
            raise ConfigError(f"{name}: no section {section!r}", "see `cytostream config`")
    own = EnvSettingsSource(Environment)
    if not folder:
        return own()
    secrets = NestedSecretsSettingsSource(
        own, secrets_dir=folder, secrets_prefix="", secrets_nested_delimiter=BETWEEN
    )
    return merged(secrets(), own())


def check_passwords(path: Path, values: Mapping[str, Any]) -> None:
    """That no password stands in a file which other accounts of the machine can read.

    Raises:
        ConfigError: one does.
    """
    if _has_password(values) and path.stat().st_mode & 0o077:
        raise ConfigError(
            f"{path}: a password in a file that others can read",
            f"put it into a file of the folder {SECRETS}, or chmod 600 {path}",
        )


def _has_password(values: Mapping[str, Any]) -> bool:
    return any(
        _has_password(value) if isinstance(value, Mapping) else name.endswith(PASSWORDS)
        for name, value in values.items()
    )
