"""The review page over a store: what it opens, and until when it serves."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ingest import CytostreamError, open_workers
from stream.config import Config
from stream.store import Outbox, can_write, has_state, make_private_folder

from .console import screen
from .observing import observing
from .page_access import mode_of, read_proxy_secret
from .page_server import Page, listen, path_of, say_where, warn

if TYPE_CHECKING:
    from stream.intake import Served
    from stream.review.web import ReviewApp
    from stream.sinks import Relay


def serve_page(page: Page, settings: Config) -> None:
    """Serves the review page until Ctrl-C.

    Raises:
        CytostreamError: the store cannot be used, or the address cannot be listened on.
    """
    _check_store(page.store)
    with ExitStack() as stack:
        relays: list[Relay] = []
        app = stack.enter_context(_opened(page, settings, relays))
        observer = stack.enter_context(observing(page.store, settings, {"reviews": relays}))
        observer.ready()
        end_streams = app.state.parts.hub.close
        if settings.review.proxy_socket:
            from stream.http import group_of, open_socket

            path = Path(settings.review.proxy_socket).absolute()
            at_socket = stack.enter_context(open_socket(path))
            whose = f"an account of the group {group_of(path)}"
            screen.print(f"review page: for the proxy at unix:{path}, {whose}   Ctrl-C ends it")
            listen(app, page, end_streams, at_socket)
        else:
            say_where(page, path_of(app.state.doors))
            listen(app, page, end_streams)


@contextmanager
def _opened(page: Page, settings: Config, relays: "list[Relay]") -> Iterator["ReviewApp"]:
    """The application over a store, with its reviews on their way to the sinks by `relays`, which
    are added to the list.

    Raises:
        CytostreamError: the store cannot be used, another page serves it, or the address needs
        accounts.
    """
    from stream.intake import intake_router
    from stream.oauth import OpenIdProvider
    from stream.review import SlideLibrary, custody_folder
    from stream.review.signed_heads import head_sinks
    from stream.review.web import Accounts, Setting, make_app
    from stream.sinks import Relay
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
        provider = OpenIdProvider(settings.review.oidc) if mode == "oidc" else None
        library = stack.enter_context(
            SlideLibrary(page.store, settings, custody_folder(settings.review.audit_folder))
        )
        for spec in page.sinks if is_kept else ():
            relays += relay_to(spec, settings, library.trail.outbox, stack)
        if is_kept:
            for head_sink in head_sinks(settings.audit, library.trail):
                relays.append(stack.enter_context(Relay(library.trail.outbox, head_sink)))
        with screen.status("starting the process that reads slides"):
            workers = stack.enter_context(open_workers(1))
        warn(page, mode)
        known = page.store / "known.npz"
        nearest = page.nearest or (known if known.is_file() else None)
        door = (
            intake_router(Backlog(library.outbox, settings.backlog), served_folders(page, settings))
            if page.scans
            else None
        )
        setting = Setting(
            mode, page.secure, proxy_secret, provider, page.model, nearest=nearest, door=door
        )
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
    if not has_state(store):
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


def relay_to(spec: str, settings: Config, outbox: Outbox, stack: ExitStack) -> "list[Relay]":
    """The relay to a sink, started; none for the word none."""
    from stream.sinks import Relay, open_sink

    if spec == "none":
        return []
    return [stack.enter_context(Relay(outbox, open_sink(spec, settings, outbox.store_id)))]
