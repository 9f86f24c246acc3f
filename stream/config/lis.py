"""Settings of the interface to the laboratory's information system (HL7 v2.5.1 over MLLP)."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from .oidc import is_loopback
from .section import Section


class LisSettings(Section):
    """Orders in, results out; `cytostream lis` runs it."""

    listen: str = Field("", description="HOST:PORT on which orders are taken; empty: none")
    listen_certificate: Path | None = Field(None, description="PEM file; with it TLS is used")
    listen_key: Path | None = Field(None, description="PEM file of its key")
    listen_ca: Path | None = Field(
        None, description="PEM file: only callers with a certificate of this authority"
    )
    results_to: str = Field("", description="HOST:PORT that takes results; empty: none")
    results_ca: Path | None = Field(
        None, description="PEM file of the authority behind its certificate; with it TLS is used"
    )
    results_certificate: Path | None = Field(None, description="PEM file shown to it")
    results_key: Path | None = Field(None, description="PEM file of its key")
    message: Literal["OUL_R22", "ORU_R01"] = Field("OUL_R22", description="the form of results")
    preliminary: bool = Field(False, description="results of the machine, before a person signs")
    facility: str = Field("", max_length=20, description="the laboratory, in MSH-4")
    receiver: str = Field("LIS", max_length=20, description="the system, in MSH-5")
    receiver_facility: str = Field("", max_length=20, description="in MSH-6")
    fhir_to: str = Field(
        "",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="base address of a FHIR R4 server that takes results, as https://HOST/fhir",
    )
    fhir_token_file: Path | None = Field(None, description="file with its bearer token")
    fhir_ca: Path | None = Field(None, description="PEM file of the authority behind it")
    stow_to: str = Field(
        "",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="base address of a DICOM server that takes annotations of signed DICOM slides "
        "by STOW-RS, as https://HOST/dicom-web",
    )
    stow_token_file: Path | None = Field(None, description="file with its bearer token")
    stow_ca: Path | None = Field(None, description="PEM file of the authority behind it")
    answer_s: float = Field(10.0, gt=0, description="how long the system may take for an answer")
    insecure: bool = Field(
        False, description="permits other machines without TLS: patients travel in the clear"
    )

    @model_validator(mode="after")
    def _is_secure(self) -> Self:
        ends: tuple[tuple[str, str, Path | None], ...] = (
            ("listen", f"//{self.listen}", self.listen_certificate),
            ("results_to", f"//{self.results_to}", self.results_ca),
        )
        for name, address in (("fhir_to", self.fhir_to), ("stow_to", self.stow_to)):
            if address.startswith("http:"):
                ends += ((name, address, None),)
        for name, address, tls in ends:
            host = urlsplit(address).hostname or ""
            away = host and not is_loopback(host)
            if away and not tls and not self.insecure:
                raise ValueError(f"{name}: {host} without TLS: name certificates, or set insecure")
        return self
