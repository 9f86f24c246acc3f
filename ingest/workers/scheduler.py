"""The Dask scheduler of a cluster of others, and the way to it."""

import ssl
import warnings
from dataclasses import dataclass
from pathlib import Path

from distributed import Client
from distributed.security import Security
from distributed.versions import VersionMismatchWarning

from ingest.errors import CytostreamError

from .mounts import Mounts

CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Scheduler:
    """A Dask cluster of others: `address` as tls://host:8786, and PEM files of the authority, of
    the own certificate and its key (where none is given, those of Dask's own configuration).
    `insecure` permits tcp://, where anyone who reaches the port runs code on the cluster and here.
    `mounts` are folders here, each with the path that the workers see it at, where it is another.
    """

    address: str
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False
    mounts: Mounts = ()


def connect(scheduler: Scheduler) -> Client:
    """A client of a cluster of others.

    Raises:
        CytostreamError: nothing answers there, or only without TLS, and that was not permitted.
    """
    security = security_of(scheduler)
    try:
        with warnings.catch_warnings():  # differing versions: `check_versions` says them in a line
            warnings.simplefilter("ignore", VersionMismatchWarning)
            return Client(
                scheduler.address, timeout=CONNECT_S, set_as_default=False, security=security
            )
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        hint = (
            "start one with `dask scheduler`, with the same certificates, or leave out --scheduler"
        )
        raise CytostreamError(f"no Dask scheduler at {scheduler.address}: {error}", hint) from error


def security_of(scheduler: Scheduler) -> Security:
    """What the client shows and asks for.

    Raises:
        CytostreamError: the address is without TLS and that was not permitted, or certificates are
        missing.
    """
    if not scheduler.address.startswith("tls://"):
        if scheduler.insecure:
            return Security()
        raise CytostreamError(
            f"{scheduler.address}: without TLS, anyone who reaches it runs code on the workers "
            "and here",
            "give tls://HOST:PORT with reading.scheduler_ca, _certificate and _key, or "
            "--insecure-scheduler",
        )
    files = {
        "tls_ca_file": scheduler.authority,
        "tls_client_cert": scheduler.certificate,
        "tls_client_key": scheduler.key,
    }
    try:
        security = Security(
            require_encryption=True, **{name: str(path) for name, path in files.items() if path}
        )
        security.get_connection_args("client")
    except (OSError, ssl.SSLError) as error:
        what = f"the certificates of the scheduler cannot be read: {error}"
        raise CytostreamError(what, "check reading.scheduler_ca, _certificate and _key") from error
    if not all(getattr(security, name) for name in ("tls_ca_file", "tls_client_cert")):
        hint = (
            "set reading.scheduler_ca, reading.scheduler_certificate and reading.scheduler_key "
            "in the config"
        )
        raise CytostreamError(f"{scheduler.address}: TLS needs certificates", hint)
    return security
