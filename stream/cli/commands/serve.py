"""`cytostream serve` and `cytostream accounts`: the review page over a store, and who may
come in.
"""

import fcntl
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from classify import SHIPPED
from ingest import CytostreamError, open_workers
from stream.cli.console import screen
from stream.cli.options import (
    KAFKA,
    RESULTS,
    ConfigOption,
    ModelOption,
    SinkOption,
    StoreOption,
)
from stream.config import Config, load_config
from stream.events import AccessAction, Provenance
from stream.store import Outbox, can_write, make_private_folder

if TYPE_CHECKING:
    from stream.intake import Served
    from stream.review.web import Accounts, Authenticator, Mode, ReviewApp

_LAST_S = 3
accounts_app = typer.Typer(
    help="Who may open the review page from another machine.", no_args_is_help=True
)


def serve(
    store: StoreOption = RESULTS,
    host: Annotated[
        str, typer.Option(help="Address; off this machine only with accounts or a proxy.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8765,
    config: ConfigOption = None,
    sink: SinkOption = None,
    model: ModelOption = SHIPPED,
    nearest: Annotated[
        Path | None, typer.Option(help="Index of known cells, for the nearest ones.")
    ] = None,
    scans: Annotated[
        list[Path] | None, typer.Option(help="Folder whose slides POST /api/door/slides may queue.")
    ] = None,
    open_again: Annotated[
        bool, typer.Option("--open", help="Without accounts, though the store had some.")
    ] = False,
    cert: Annotated[Path | None, typer.Option(help="TLS certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="TLS key (PEM).")] = None,
) -> None:
    """Serve the review page: worklist, cells, slide, decisions, signature, report. Works offline;
    Ctrl-C ends it.

    [bold]Examples[/]

    cytostream serve --store results

    cytostream accounts add alice --role reviewer --store results

    cytostream serve --store results --host 0.0.0.0 --cert lab.pem --key lab.key
    """
    page = Page(
        store=store,
        host=host,
        sinks=sink or KAFKA,
        model=model,
        nearest=nearest,
        scans=scans or [],
        secure=cert is not None,
        open_again=open_again,
        port=port,
        cert=cert,
        key=key,
    )
    serve_page(page, load_config(config))


@dataclass(frozen=True, slots=True)
class Page:
    """What the command line says of the page."""

    store: Path
    host: str = "127.0.0.1"
    sinks: Sequence[str] = KAFKA
    model: Path = SHIPPED
    nearest: Path | None = None
    scans: Sequence[Path] = ()
    secure: bool = False
    open_again: bool = False
    port: int = 8765
    cert: Path | None = None
    key: Path | None = None


def serve_page(page: Page, settings: Config) -> None:
    """Serves the review page until Ctrl-C.

    Raises:
        CytostreamError: the store cannot be used, or the address cannot be listened on.
    """
    _check_store(page.store)
    with ExitStack() as stack:
        app = stack.enter_context(_opened(page, settings))
        address = page.host, page.port, page.cert, page.key
        end_streams = app.state.parts.hub.close
        if settings.review.proxy_socket:
            from stream.http import open_socket

            path = Path(settings.review.proxy_socket).absolute()
            at_socket = stack.enter_context(open_socket(path))
            screen.print(f"review page: for the proxy at unix:{path}   Ctrl-C ends it")
            listen(app, *address, end_streams, at_socket)
        else:
            say_where(page.host, page.port, page.secure, path_of(app.state.doors))
            listen(app, *address, end_streams)


def path_of(doors: "Authenticator") -> str:
    """What follows the host in the printed address: without accounts, the secret that opens
    the page.
    """
    return f"open?secret={doors.local_secret}" if doors.mode == "local" else ""


def say_where(host: str, port: int, secure: bool, path: str) -> None:
    shown = f"[{host}]" if ":" in host else host
    address = f"http{'s' if secure else ''}://{shown}:{port}/{path}"
    screen.print(f"review page: {address}   Ctrl-C ends it", highlight=False)
    if path:
        screen.print("whoever has this address can read and sign: give it to nobody")


def listen(
    app: "ReviewApp",
    host: str,
    port: int,
    cert: Path | None,
    key: Path | None,
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
        host=host,
        port=port,
        ssl_certfile=cert,
        ssl_keyfile=key,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=_LAST_S,
        server_header=False,
        proxy_headers=False,
        http=guarded_protocol(),
        ws="none",
    )
    try:
        PageServer(server).run([at_socket] if at_socket else None)
    except KeyboardInterrupt:
        screen.print("the page is closed")
    except OSError as error:
        raise CytostreamError(
            f"{host}:{port}: {error.strerror or error}", "choose another --port, or check --cert"
        ) from error
    except SystemExit as error:
        if error.code:
            raise CytostreamError(
                f"{host}:{port}: cannot be listened at", "is it taken? Choose another --port"
            ) from error


@contextmanager
def _opened(page: Page, settings: Config) -> Iterator["ReviewApp"]:
    """The application over a store, with its reviews on their way to the sinks.

    Raises:
        CytostreamError: the store cannot be used, another page serves it, or the address needs
        accounts.
    """
    from stream.intake import intake_router
    from stream.review import SlideLibrary, custody_folder
    from stream.review.web import Accounts, Setting, make_app
    from stream.store import Backlog

    with ExitStack() as stack:
        is_kept = can_write(page.store / "state.db")
        if is_kept:
            hold(page.store, stack)
        else:
            check_read_only(page)
        accounts = Accounts(page.store)
        stack.callback(accounts.close)
        mode = mode_of(page, settings, accounts)
        proxy_secret = read_proxy_secret(settings) if mode == "proxy" else ""
        library = stack.enter_context(
            SlideLibrary(page.store, settings, custody_folder(settings.review.audit_folder))
        )
        for spec in page.sinks if is_kept else ():
            relay_to(spec, settings, library.trail.outbox, stack)
        with screen.status("starting the process that reads slides"):
            workers = stack.enter_context(open_workers(1))
        warn(page.host, mode, page.secure)
        known = page.store / "known.npz"
        nearest = page.nearest or (known if known.is_file() else None)
        door = (
            intake_router(Backlog(library.outbox, settings.backlog), served_folders(page, settings))
            if page.scans
            else None
        )
        setting = Setting(mode, page.secure, proxy_secret, page.model, nearest, door)
        yield make_app(library, accounts, workers, settings, setting)


def served_folders(page: Page, settings: Config) -> "Served":
    """The folders whose slides the page may queue, without the store and their quarantines."""
    from stream.intake import Served

    roots = tuple(folder.resolve() for folder in page.scans)
    name = settings.watch.quarantine
    quarantines = tuple(root / name for root in roots) if name else ()
    return Served(roots, (page.store.resolve(), *quarantines))


def _check_store(store: Path) -> None:
    """A page is about a store that is there: a mistyped one is not made.

    Raises:
        CytostreamError: there is none.
    """
    if not (store / "state.db").is_file():
        hint = "check --store, or make one with `cytostream run SLIDE --store DIR`"
        raise CytostreamError(f"{store}: no results here", hint)


def check_read_only(page: Page) -> None:
    """Says that a store can only be read.

    Raises:
        CytostreamError: slides are to be queued in it.
    """
    what = f"{page.store}: can only be read"
    if page.scans:
        raise CytostreamError(f"{what}, so that no slide can be queued", "leave out --scans")
    screen.print(f"{what}: it is shown, and nothing can be decided or signed")


def hold(store: Path, stack: ExitStack) -> None:
    """One page a store: it alone writes reviews."""
    try:
        make_private_folder(store)
        lock = stack.enter_context((store / "serve.lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CytostreamError(
            f"{store}: another `cytostream serve` has it", "use that page, or end it first"
        ) from error
    except OSError as error:
        raise CytostreamError(f"{store}: {error.strerror}", "choose another --store") from error


def mode_of(page: Page, settings: Config, accounts: "Accounts") -> "Mode":
    """Who may use the page: accounts where there are any, else whom a proxy names, else who has the
    printed address.

    Raises:
        CytostreamError: nobody is asked who they are and others could reach it, or a proxy could
        not be told from others.
    """
    from stream.review.web import is_loopback

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


def relay_to(spec: str, settings: Config, outbox: Outbox, stack: ExitStack) -> None:
    from stream.sinks import Relay, open_sink

    if spec != "none":
        stack.enter_context(Relay(outbox, open_sink(spec, settings, outbox.store_id)))


def warn(host: str, mode: str, secure: bool) -> None:
    from stream.review.web import is_loopback, leaflet_folder

    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    if leaflet_folder() is None:
        screen.print("the slide viewer is not installed\n  -> pip install xstatic-leaflet==1.9.3.0")
    if mode == "accounts" and not secure and not is_loopback(host):
        screen.print(
            "passwords travel in the clear\n  -> give --cert and --key, or put a TLS proxy in front"
        )


@accounts_app.command("add")
def add_account(
    name: str,
    role: Annotated[str, typer.Option(help="viewer, reviewer or admin.")] = "reviewer",
    store: StoreOption = RESULTS,
    config: ConfigOption = None,
) -> None:
    """Make an account, or give it another role and password. Asks for the password. A removed name
    is not given again.

    Example: cytostream accounts add alice --role reviewer --store results
    """
    password = typer.prompt("password", hide_input=True, confirmation_prompt=True)
    with accounts_of(store) as accounts:
        change = accounts.set(name, role, password)
    note_change(store, config, "account_added" if change == "added" else "account_changed", name)


@accounts_app.command("list")
def list_accounts(store: StoreOption = RESULTS) -> None:
    """Who has an account, and their roles."""
    with accounts_of(store) as accounts:
        for person in accounts.people():
            typer.echo(f"{person.name}\t{person.role}")


@accounts_app.command("remove")
def remove_account(name: str, store: StoreOption = RESULTS, config: ConfigOption = None) -> None:
    """Take an account away; what it signed stays, and nobody gets its name."""
    with accounts_of(store) as accounts:
        accounts.remove(name)
    note_change(store, config, "account_removed", name)


def note_change(store: Path, config: Path | None, action: AccessAction, name: str) -> None:
    """Writes a change of an account into the audit trail of the store."""
    from stream.review import Trail, custody_folder
    from stream.review.web import local_name

    settings = load_config(config)
    with Trail(store, custody_folder(settings.review.audit_folder)) as trail:
        trail.note(action, name, local_name(), Provenance(settings.source))


@contextmanager
def accounts_of(store: Path) -> Iterator["Accounts"]:
    from stream.review.web import Accounts

    accounts = Accounts(store)
    try:
        yield accounts
    finally:
        accounts.close()
