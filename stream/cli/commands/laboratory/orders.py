"""`cytostream orders`: the worklist of orders that slides are matched with."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from stream.cli.console import screen
from stream.cli.options import RESULTS, ConfigOption, StoreOption
from stream.cli.session import open_outbox, require_store
from stream.config import Config, load_config
from stream.identity import Order, read_worklist
from stream.store import RefusedOrder

orders_app = typer.Typer(
    help="The worklist of orders that slides are matched with.", no_args_is_help=True
)


@orders_app.command("add")
def add_orders(
    file: Annotated[Path, typer.Argument(help="CSV whose first line names its columns.")],
    store: StoreOption = RESULTS,
    config: ConfigOption = None,
) -> None:
    """Add the orders of a CSV file, or what is new of them. Columns: accession, container, barcode,
    order, patient_id, patient_name, birth_date, state (open or cancelled).

    A line that is no order is named and left out; exit status 1 then.

    Example: cytostream orders add worklist.csv --store results
    """
    orders, bad = read_worklist(file)
    changed = put_orders(store, load_config(config), orders)
    for line in bad:
        typer.echo(f"{file.name}, line {line.line}: {line.reason}", err=True)
    screen.print(f"{changed} orders are new or changed, {len(orders) - changed} were there")
    if bad:
        raise typer.Exit(1)


def put_orders(store: Path, settings: Config, orders: Sequence[Order]) -> int:
    """Adds orders to a store, and says how many of them are new or changed."""
    with open_outbox(store, settings) as outbox, outbox.transaction() as tx:
        return sum(tx.put_order(order) for order in orders)


@orders_app.command("refused")
def list_refused(
    store: StoreOption = RESULTS,
    config: ConfigOption = None,
    body: Annotated[
        bool, typer.Option("--body", help="With the message itself, which names patients.")
    ] = False,
) -> None:
    """List the messages of the laboratory's system that were refused, and why."""
    for one in refused_orders(store, load_config(config)):
        screen.print(f"{one.at}  {one.control_id}  {one.reason}")
        if body:
            screen.print(one.body.decode("utf-8", "backslashreplace"))


def refused_orders(store: Path, settings: Config) -> list[RefusedOrder]:
    """The refused messages of a store."""
    with open_outbox(store, settings) as outbox:
        return outbox.refused_orders()


@orders_app.command("list")
def list_orders(store: StoreOption = RESULTS, config: ConfigOption = None) -> None:
    """List the orders of a store: codes and state, no names."""
    table = Table("accession", "container", "barcode", "order", "state", "from")
    for order in kept_orders(store, load_config(config)):
        own = order.identity
        table.add_row(
            own.accession, own.container, own.barcode, own.order, order.state, order.source
        )
    screen.print(table)


def kept_orders(store: Path, settings: Config) -> list[Order]:
    """The orders of a store.

    Raises:
        CytostreamError: there is no store.
    """
    require_store(store)
    with open_outbox(store, settings) as outbox:
        return list(outbox.orders())
