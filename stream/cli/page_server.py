"""The server of the review page: its address, its warnings, its end."""

import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from classify import SHIPPED
from ingest import CytostreamError
from stream.config import is_loopback

from .console import screen
from .options import KAFKA

if TYPE_CHECKING:
    from stream.review.web import Authenticator, ReviewApp

_LAST_S = 3


@dataclass(frozen=True, slots=True)
class Page:
    """What the command line says of the page."""

    store: Path
    host: str = "127.0.0.1"
    sinks: Sequence[str] = KAFKA
    model: Path = SHIPPED
    nearest: Path | None = None
    scans: Sequence[Path] = ()
    open_again: bool = False
    port: int = 8765
    cert: Path | None = None
    key: Path | None = None

    @property
    def secure(self) -> bool:
        """Whether the page itself uses TLS."""
        return self.cert is not None


def path_of(doors: "Authenticator") -> str:
    """What follows the host in the printed address: without accounts, the secret that opens
    the page.
    """
    return f"open?secret={doors.local_secret}" if doors.mode == "local" else ""


def say_where(page: Page, path: str) -> None:
    shown = f"[{page.host}]" if ":" in page.host else page.host
    address = f"http{'s' if page.secure else ''}://{shown}:{page.port}/{path}"
    screen.print(f"review page: {address}   Ctrl-C ends it")
    if path:
        screen.print("whoever has this address can read and sign: give it to nobody")


def listen(
    app: "ReviewApp",
    page: Page,
    end_streams: Callable[[], None],
    at_socket: socket.socket | None = None,
) -> None:
    """Serves until Ctrl-C, at the address or at a socket that listens already.

    Raises:
        CytostreamError: the address is taken, or the certificate cannot be read.
    """
    import uvicorn

    from stream.http import guarded_protocol, sample_logs

    sample_logs()

    class PageServer(uvicorn.Server):
        """Ends the streams of open pages first, so that none has to be cut off."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            end_streams()
            super().handle_exit(sig, frame)

    server = uvicorn.Config(
        app,
        host=page.host,
        port=page.port,
        ssl_certfile=page.cert,
        ssl_keyfile=page.key,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_LAST_S,
        server_header=False,
        proxy_headers=False,
        http=guarded_protocol(),
        ws="none",
    )
    address = f"{page.host}:{page.port}"
    try:
        PageServer(server).run([at_socket] if at_socket else None)
    except KeyboardInterrupt:
        screen.print("the page is closed")
    except OSError as error:
        raise CytostreamError(
            f"{address}: {error.strerror or error}",
            "choose another --port, or check --cert",
        ) from error
    except SystemExit as error:
        if error.code:
            raise CytostreamError(
                f"{address}: cannot be listened at",
                "is it taken? Choose another --port",
            ) from error


def warn(page: Page, mode: str) -> None:
    from stream.review.web import leaflet_folder

    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    if leaflet_folder() is None:
        screen.print("the slide viewer is not installed\n  -> pip install xstatic-leaflet==1.9.3.0")
    if mode == "accounts" and not page.secure and not is_loopback(page.host):
        screen.print(
            "passwords travel in the clear\n  -> give --cert and --key, or put a TLS proxy in front"
        )
