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
from stream.config import load_config
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
