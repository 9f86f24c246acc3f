"""Settings of the sign-in by an OpenID Connect provider."""

from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from .section import Section


class OidcSettings(Section):
    """Sign-in to the review page by an OpenID Connect provider; it is used where `issuer` is set,
    in place of accounts.
    """

    issuer: str = Field("", description="the provider, as https://login.lab.example/realms/lab")
    client_id: str = Field("", description="of this page at the provider")
    client_secret: SecretStr = Field(
        SecretStr(""),
        description="by a variable or a secret file; empty where the provider has a public client",
    )
    address: str = Field(
        "",
        description="of the page, as https://review.lab.example; register ADDRESS/login/back at "
        "the provider",
    )
    scopes: tuple[str, ...] = Field(
        ("openid", "profile"), description="what the provider is asked for"
    )
    name_claim: str = Field(
        "preferred_username",
        description="the name in the audit trail: that of the first sign-in stays",
    )
    groups_claim: str = Field(
        "groups", description="the groups of a person; dots lead into objects: realm_access.roles"
    )
    roles: dict[str, Literal["viewer", "reviewer", "admin"]] = Field(
        {}, description="of groups; who is in none of them does not come in"
    )
    ca: Path | None = Field(None, description="PEM file of the authority behind its certificate")
    answer_s: float = Field(10.0, gt=0, description="how long the provider may take for an answer")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.issuer:
            return self
        wanted = ("client_id", "address", "roles")
        if missing := [name for name in wanted if not getattr(self, name)]:
            raise ValueError(f"issuer is set without {', '.join(missing)}")
        for name, address in (("issuer", self.issuer), ("address", self.address)):
            if not is_safe_address(address):
                raise ValueError(f"{name}: {address}: https://HOST is wanted, without ? and #")
        if "openid" not in self.scopes:
            raise ValueError("scopes: openid is missing")
        return self


def is_safe_address(address: str) -> bool:
    """Whether it is https, or http on this machine, and nothing but host and path."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        is_own = is_loopback(host)
    except ValueError:
        return False
    if not host or parts.query or parts.fragment or parts.username or parts.password:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_own)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
