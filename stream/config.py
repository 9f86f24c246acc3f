"""Configuration: frozen, read once, passed down. Defaults live here; a file holds only
differences.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from classify import ClassName
from ingest import MPP_RANGE, CytostreamError

from .events import Severity

ClassKey = Annotated[str, StringConstraints(pattern=r"^[1-9bdefhijklopqrstvwxyz]$")]
CODECS = {"snappy": "snappy", "lz4": "lz4", "zstd": "zstandard"}
ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}")


class ConfigError(CytostreamError):
    """A configuration file that cannot be used."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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


class ClassRule(Section):
    """A cell of this class above this probability is an alert."""

    label: str
    above: float = Field(0.5, ge=0, lt=1)
    severity: Severity = "notice"


class RatioRule(Section):
    """More than `above` cells of these classes per 100 white cells are an alert of the slide."""

    labels: tuple[str, ...] = Field(min_length=1)
    above: float = Field(ge=0)
    severity: Severity = "urgent"


class ExcessRule(Section):
    """More cells of this class than the background rate explains are an alert of the slide.

    The number is tested against a binomial distribution of the slide's white cells at `background`,
    the share of normal white cells that the model calls so in a laboratory that it does not know.
    """

    label: ClassName
    background: float = Field(gt=0, lt=1)
    chance_below: float = Field(
        1e-4,
        gt=0,
        lt=1,
        description="an alert where so many cells would arise by chance with a probability below "
        "this",
    )
    at_least: int = Field(3, ge=1, description="cells of the class that an alert needs")
    severity: Severity = "urgent"


class Alerts(Section):
    anomaly_above: float = Field(
        0.999,
        ge=0,
        le=1,
        description="a cell alert where the anomaly score is above this: 1 - the share of normal "
        "cells that raise a false alert; 1 in 1,000, checked by `python -m "
        "tests.tools.bench.alerts` on pbc/val and deepapl/normal",
    )
    chance_below: float = Field(
        1e-3,
        gt=0,
        lt=1,
        description="a slide alert where so many anomalous cells would arise by chance with a "
        "probability below this; chosen, not measured",
    )
    severity: Severity = Field("warning", description="of an alert about an anomalous cell")
    classes: tuple[ClassRule, ...] = ()
    per_100_white: tuple[RatioRule, ...] = ()
    excess: tuple[ExcessRule, ...] = Field(
        (ExcessRule(label="blast", background=0.02),),
        description="rare classes; those that the model does not have are left out",
    )
    white_at_least: int = Field(
        50, ge=1, description="white cells that a slide must have for a ratio"
    )
    anomalies_per_slide: int = Field(
        200, ge=0, description="more anomalous cells raise one slide alert; chosen, not measured"
    )
    at_most_per_slide: int = Field(
        500, ge=1, description="cell alerts a rule and slide, then one slide alert for the rest"
    )
    at_most_per_hour: int = Field(
        5000, ge=1, description="cell alerts of all slides, then one slide alert for the rest"
    )
    drift_slides: int = Field(
        5, ge=1, description="last slides of a scanner, compared with those before them"
    )
    drift_before: int = Field(20, ge=2, description="how many those before them are")
    drift_z: float = Field(
        5.0,
        gt=0,
        description="standard errors by which the share of anomalous cells must have moved; "
        "chosen, not measured",
    )


class RedCells(Section):
    """Red cells and platelets of the sampled fields."""

    judged: int = Field(2000, ge=0, description="red cells of a slide that are classified; 0: none")
    normal_diameter_um: tuple[float, float] = Field(
        (6.7, 7.7), description="of normal red cells on the laboratory's smears; the page shows it"
    )
    schistocytes_from: float = Field(
        1.0, gt=0, description="per cent of red cells from which schistocytes are an alert"
    )
    schistocytes_severity: Severity = Field(
        "notice",
        description="urgent once schistocytes_by_error is measured on the laboratory's own slides",
    )
    schistocytes_by_error: float = Field(
        1.0, ge=0, lt=100, description="per cent of other red cells that are called schistocytes"
    )
    spherocytes_from: float = Field(
        5.0, gt=0, description="per cent of red cells from which spherocytes are an alert"
    )
    spherocytes_severity: Severity = Field("warning", description="of that alert")
    spherocytes_by_error: float = Field(
        2.0, ge=0, lt=100, description="per cent of other red cells that are called spherocytes"
    )
    platelet_factor: float = Field(
        15e9, gt=0, description="platelets per litre for each in a field of a 100x objective"
    )
    white_factor: float = Field(
        10e9, gt=0, description="white cells per litre for each in a field of a 100x objective"
    )


class Reading(Section):
    tile_px: int = Field(1024, ge=256, le=8192)
    workers: int = Field(2, ge=0)
    workers_most: int = Field(
        0, ge=0, description="more processes, up to this many, while tiles wait"
    )
    scheduler: str | None = Field(
        None, description="a Dask cluster in place of own processes, as tls://host:8786"
    )
    scheduler_ca: Path | None = Field(
        None, description="PEM file of the authority behind the cluster's certificates"
    )
    scheduler_certificate: Path | None = Field(
        None, description="PEM file of the certificate that this host shows the cluster"
    )
    scheduler_key: Path | None = Field(None, description="PEM file of its key")
    insecure_scheduler: bool = Field(
        False, description="permits tcp://, where anyone who reaches it runs code here"
    )
    dashboard: str = Field(
        "", description="host and port of Dask's pages, as 127.0.0.1:8787; needs bokeh"
    )
    mpp_override: float | None = Field(
        None, ge=MPP_RANGE[0], le=MPP_RANGE[1], description="um per px, whatever the files say"
    )
    red_cell_um: float = Field(
        7.2,
        ge=0,
        description="median red cell; a slide whose scale makes it a quarter more or less, or that "
        "has none, is held; 0 does not look",
    )
    area: Literal["all", "battlement"] = Field(
        "all", description="battlement: a technologist's path through the monolayer"
    )
    read_limit_s: float = Field(60.0, gt=0, description="a tile that takes longer is given up")
    survey_limit_s: float = Field(
        300.0, gt=0, description="a first look that takes longer is given up"
    )


class BacklogSettings(Section):
    tries: int = Field(3, ge=1, description="of a slide that fails")
    retry_s: float = Field(10.0, ge=0, description="pause before the next try, doubled each time")
    deaths: int = Field(
        20, ge=1, description="a slide under which the process died so often is given up"
    )
    lease_s: float = Field(
        30.0, gt=0, description="a host that is silent for so long loses its slides to the others"
    )
    drain_s: float = Field(
        20.0,
        ge=0,
        description="after SIGTERM: the slide in hand may end within this, then it is interrupted",
    )
    progress_s: float = Field(10.0, gt=0, description="between two running events of a slide")


class Store(Section):
    free_gb: float = Field(1.0, ge=0, description="the run stops in order where the disk has less")
    waiting_gb: float = Field(
        20.0, gt=0, description="the run stops in order where the state file is larger"
    )
    keep_days: float = Field(
        30.0, gt=0, description="sent labels of finished slides are dropped after this; alerts stay"
    )


class WatchSettings(Section):
    look_s: float = Field(2.0, gt=0, description="between two looks at the folder")
    still_looks: int = Field(2, ge=1, description="looks over which a file must not change")
    marker: str = Field(
        ".done", min_length=2, description="a file with this ending says that its slide is whole"
    )
    need_marker: bool = False
    stat: tuple[str, ...] = Field(("stat/*", "*_STAT.*"), description="slides that go first")
    ignore: tuple[str, ...] = (
        ".*",
        "~*",
        "*.tmp",
        "*.part",
        "*.partial",
        "*.crdownload",
        "*.filepart",
    )
    fields: tuple[str, ...] = Field(
        ("*.fields",), description="folders of fields of view, read while they fill"
    )
    hosts: tuple[str, ...] = Field(
        (), description="further names of this machine, under which its HTTP interface is called"
    )
    quarantine: str = Field(
        "quarantine", description="folder for broken ones, in the watched one; empty leaves them"
    )


class ReviewSettings(Section):
    """The review page. Ranges are per cent of white cells (per 100 of them where the class is
    none): set your own.
    """

    classes: tuple[ClassName, ...] = Field(
        (
            "blast",
            "promyelocyte",
            "myelocyte",
            "metamyelocyte",
            "band",
            "variant_lymphocyte",
            "plasma_cell",
            "smudge",
        ),
        description="what a person may call a cell beside the model's own classes",
    )
    keys: dict[str, ClassKey] = Field(
        {}, description="keys for classes on the page, as blast = 'b'; others get the next free one"
    )
    ranges: dict[str, tuple[float, float]] = {
        "neutrophil": (40.0, 75.0),
        "lymphocyte": (20.0, 45.0),
        "monocyte": (2.0, 10.0),
        "eosinophil": (1.0, 6.0),
        "basophil": (0.0, 1.0),
        "ig": (0.0, 1.0),
        "erythroblast": (0.0, 0.0),
        "segmented-neutrophil": (40.0, 75.0),
        "band-neutrophil": (0.0, 8.0),
        "metamyelocyte": (0.0, 1.0),
        "myelocyte": (0.0, 0.0),
        "promyelocyte": (0.0, 0.0),
        "blast": (0.0, 0.0),
    }
    not_white: tuple[str, ...] = Field(
        ("erythroblast", "platelet", "other", "smudge"),
        description="classes outside the hundred per cent",
    )
    laboratory: str = Field("", description="stands on reports")
    fonts: tuple[str, ...] = Field(
        (), description="TTF or OTF files for letters that the font of the PDF has not"
    )
    show_names: bool = Field(
        True, description="file names of slides on the page and on reports: they may name a patient"
    )
    show_label_images: bool = Field(
        False, description="the slide's label and macro images: they often name the patient"
    )
    alerts_first: bool = Field(True, description="no signature before every alert is acknowledged")
    sign_cells: int = Field(
        0, ge=0, description="white cells that people must have verified before a signature"
    )
    sign_classes: tuple[str, ...] = Field(
        (), description="classes of which every cell must have been verified before a signature"
    )
    session_hours: float = Field(12.0, gt=0, description="a login ends after this")
    requests_per_s: float = Field(
        300.0, gt=0, description="of one person or address; three seconds' worth at once"
    )
    logins_per_minute: int = Field(
        10, ge=1, description="failed ones, a name and address; an address has ten times as many"
    )
    streams: int = Field(16, ge=1, description="pages of one person that follow the store at once")
    body_bytes: int = Field(1_000_000, ge=10_000, description="largest request")
    look_s: float = Field(0.25, gt=0, description="between two looks at the store for what is new")
    reasons_s: float = Field(60.0, gt=0, description="an explanation that takes longer is given up")
    tile_s: float = Field(
        20.0, gt=0, description="a place of the slide that takes longer to read is given up"
    )
    folder: str = Field(
        "",
        pattern=r"^(/[\w.~-]+)*$",
        description="of the public address, as /smears, where a proxy leaves it in the path",
    )
    proxy_header: str = Field(
        "", description="a header with the account, set by the proxy in front; empty trusts none"
    )
    proxy_addresses: tuple[str, ...] = Field(
        ("127.0.0.1", "::1"), description="where that proxy calls from"
    )
    proxy_socket: str = Field(
        "", description="a Unix socket to listen on for that proxy, in place of host and port"
    )
    proxy_secret_file: str = Field(
        "", description="a file with the secret that the proxy sends along; needed without a socket"
    )
    proxy_secret_header: str = Field("X-Proxy-Secret", description="the header with that secret")
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="proxies whose X-Forwarded-For says who asks, for the limits alone; "
        "unix is the one at the socket",
    )
    hosts: tuple[str, ...] = Field(
        (), description="names under which the page is served; behind a proxy at least one"
    )
    audit_folder: str = Field(
        "", description="outside the store: keys and heads of audit trails; empty: ~/.local/state"
    )
    secure_cookies: bool = Field(
        False, description="for a TLS proxy in front: cookies over it alone, HSTS"
    )
    proxy_roles: dict[str, Literal["viewer", "reviewer", "admin"]] = Field(
        {}, description="of its accounts; others are viewers"
    )

    @field_validator("fonts")
    @classmethod
    def _are_there(cls, fonts: tuple[str, ...]) -> tuple[str, ...]:
        for font in fonts:
            if not Path(font).expanduser().is_file():
                raise ValueError(f"{font}: no such file")
        return fonts

    @field_validator("keys")
    @classmethod
    def _are_different(cls, keys: dict[str, str]) -> dict[str, str]:
        if len(set(keys.values())) < len(keys):
            raise ValueError("two classes have the same key")
        return keys


class Config(Section):
    kafka: Kafka = Kafka()
    alerts: Alerts = Alerts()
    reading: Reading = Reading()
    red_cells: RedCells = RedCells()
    backlog: BacklogSettings = BacklogSettings()
    store: Store = Store()
    watch: WatchSettings = WatchSettings()
    review: ReviewSettings = ReviewSettings()
    source: str = Field("cytostream", description="CloudEvents source: name your lab and scanner")
    share_names: bool = Field(
        False, description="file names and paths in events: they may name a patient"
    )


def load_config(path: Path | None, **overrides: Mapping[str, object]) -> Config:
    """The defaults, with the differences of a TOML file, of CYTOSTREAM_BOOTSTRAP and of the command
    line: `overrides` are values by section, None where the command line says nothing.

    Raises:
        ConfigError: the file is absent or not TOML, or a value is unknown or ill-typed, wherever it
            stands.
    """
    given = {
        section: {name: value for name, value in values.items() if value is not None}
        for section, values in overrides.items()
    }
    try:
        values = tomllib.loads(path.read_text()) if path else {}
        if bootstrap := os.environ.get("CYTOSTREAM_BOOTSTRAP"):
            values.setdefault("kafka", {})["bootstrap"] = bootstrap
        for section, own in given.items():
            values[section] = {**values.get(section, {}), **own}
        return Config(**values)
    except ValidationError as error:
        raise _config_error(path, given, error.errors()[0]) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: {error}", "give a TOML file") from error


def _config_error(
    path: Path | None, given: Mapping[str, Mapping[str, object]], first: ErrorDetails
) -> ConfigError:
    """The first fault, with the option or the file that states it."""
    place = [str(part) for part in first["loc"]]
    message = first["msg"]
    if len(place) > 1 and place[1] in given.get(place[0], {}):
        what = f"--{place[1].replace('_', '-')} {first['input']}: {message}"
        return ConfigError(what, "see --help, and `cytostream config` for the settings")
    return ConfigError(
        f"{path or 'CYTOSTREAM_BOOTSTRAP'}: {'.'.join(place)}: {message}",
        "see `cytostream config`",
    )
