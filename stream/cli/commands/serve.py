"""`cytostream serve` and `cytostream accounts`: the review page over a store, and who may
come in.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from classify import SHIPPED
from stream.cli.json_logs import set_up_logs
from stream.cli.options import KAFKA, RESULTS, ConfigOption, ModelOption, SinkOption, StoreOption
from stream.cli.page_server import Page
from stream.cli.review_page import serve_page
from stream.config import Config, load_config
from stream.events import AccessAction, Provenance

if TYPE_CHECKING:
    from stream.review.web import Accounts

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
        open_again=open_again,
        port=port,
        cert=cert,
        key=key,
    )
    settings = load_config(config)
    set_up_logs(settings.monitoring)
    serve_page(page, settings)


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
    set_account(store, load_config(config), name, role, password)


def set_account(store: Path, settings: Config, name: str, role: str, password: str) -> None:
    """Makes or changes an account, which the audit trail states.

    Raises:
        CytostreamError: the name, the role or the password cannot be used.
    """
    with accounts_of(store) as accounts:
        change = accounts.set(name, role, password)
    action: AccessAction = "account_added" if change == "added" else "account_changed"
    note_change(store, settings, action, name)


@accounts_app.command("list")
def list_accounts(store: StoreOption = RESULTS) -> None:
    """Who has an account, and their roles; and who was signed in by a provider, and who that is
    there.
    """
    for line in people_of(store):
        typer.echo(line)


def people_of(store: Path) -> list[str]:
    """Who has an account of a store, and whom a provider has signed in; a line each."""
    with accounts_of(store) as accounts:
        own = [f"{person.name}\t{person.role}" for person in accounts.people()]
        provided = [f"{p.name}\t{p.issuer} {p.subject}" for p in accounts.provided.everyone()]
    return [*own, *provided]


@accounts_app.command("remove")
def remove_account(name: str, store: StoreOption = RESULTS, config: ConfigOption = None) -> None:
    """Take an account away; what it signed stays, and nobody gets its name."""
    end_account(store, load_config(config), name)


def end_account(store: Path, settings: Config, name: str) -> None:
    """Removes an account, which the audit trail states.

    Raises:
        CytostreamError: there is no such account.
    """
    with accounts_of(store) as accounts:
        accounts.remove(name)
    note_change(store, settings, "account_removed", name)


def note_change(store: Path, settings: Config, action: AccessAction, name: str) -> None:
    """Writes a change of an account into the audit trail of the store."""
    from stream.review import Trail, custody_folder
    from stream.review.web import local_name

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
