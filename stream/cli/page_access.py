"""Who may use the review page: accounts, whom a provider or a proxy names, or who has the printed
address.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from ingest import CytostreamError
from stream.config import Config, is_loopback

from .page_server import Page

if TYPE_CHECKING:
    from stream.review.web import Accounts, Mode


def mode_of(page: Page, settings: Config, accounts: "Accounts") -> "Mode":
    """Who may use the page: whom a provider signs in or a proxy names, where one is set, else
    accounts where there are any, else who has the printed address.

    Raises:
        CytostreamError: nobody is asked who they are and others could reach it, or a proxy could
        not be told from others.
    """
    if settings.review.oidc.issuer:
        if settings.review.proxy_header:
            raise CytostreamError(
                "review.oidc and review.proxy_header are both set", "take one of them out"
            )
        return "oidc"
    if settings.review.proxy_header:
        check_proxy(settings)
        return "proxy"
    if accounts.has_any():
        return "accounts"
    if settings.review.proxy_socket:
        hint = "make an account with `cytostream accounts add NAME`, or set review.proxy_header"
        raise CytostreamError("review.proxy_socket is set, and nobody has an account", hint)
    if accounts.had_any() and not page.open_again:
        hint = (
            "make one with `cytostream accounts add NAME --role admin`, or say --open to go without"
        )
        raise CytostreamError(f"{page.store}: this store had accounts and has none now", hint)
    if not is_loopback(page.host):
        hint = (
            "make an account with `cytostream accounts add NAME --role reviewer`, or set "
            "review.proxy_header"
        )
        raise CytostreamError(
            f"{page.host} can be reached from other machines, and nobody has an account", hint
        )
    return "local"


def check_proxy(settings: Config) -> None:
    """A proxy's word is believed only with a secret or at a socket of its own, and for the names
    under which the page is served.
    """
    review = settings.review
    if not (review.proxy_secret_file or review.proxy_socket):
        hint = (
            "put a secret into a file (openssl rand -hex 32), have the proxy send it as "
            f"{review.proxy_secret_header}; or set review.proxy_socket"
        )
        raise CytostreamError("review.proxy_header is set without review.proxy_secret_file", hint)
    if not review.hosts:
        hint = 'name the host that people type, as hosts = ["review.lab.example"]'
        raise CytostreamError("review.proxy_header is set without review.hosts", hint)


def read_proxy_secret(settings: Config) -> str:
    """The secret that the proxy sends along; none where its socket is enough.

    Raises:
        CytostreamError: it cannot be read, is too short, or others can read it.
    """
    if not settings.review.proxy_secret_file:
        return ""
    path = Path(settings.review.proxy_secret_file)
    try:
        secret = path.read_text().strip()
        shared = path.stat().st_mode & 0o007
    except (OSError, ValueError) as error:
        raise CytostreamError(
            f"{path}: cannot be read: {error}", "give a file with the secret"
        ) from error
    if len(secret) < 32:
        raise CytostreamError(
            f"{path}: a secret of fewer than 32 characters", "openssl rand -hex 32"
        )
    if shared:
        raise CytostreamError(f"{path}: everybody on this machine can read it", f"chmod o= {path}")
    return secret
