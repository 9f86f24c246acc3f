"""Settings of the review page."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from classify import ClassName

from .oidc import OidcSettings
from .section import Section

ClassKey = Annotated[str, StringConstraints(pattern=r"^[1-9bdefhijklopqrstvwyz]$")]


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
    language: Literal["en", "de"] = Field(
        "en", description="language of the page where neither person nor browser asks for one"
    )
    laboratory: str = Field("", description="stands on reports")
    address: tuple[str, ...] = Field(
        (), max_length=6, description="lines under the laboratory's name on reports"
    )
    logo: str = Field("", description="PNG or JPEG file, at the right of the head of reports")
    report_foot: str = Field("", description="a line at the foot of each page of a report")
    paper: Literal["A4", "letter"] = Field("A4", description="the size of a report's pages")
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
    atlas: str = Field(
        "",
        description="folder CLASS/NAME.png of reference cells, with their source in CREDIT.txt; "
        "`cytostream atlas` makes one",
    )
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
        "",
        description="a Unix socket to listen on for that proxy, in place of host and port; where "
        "the folder has its group's bit (chmod g+s), that group may call",
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
    oidc: OidcSettings = OidcSettings()

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
