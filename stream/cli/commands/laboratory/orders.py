"""`cytostream orders`: the worklist of orders that slides are matched with."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ingest import CytostreamError
from stream.cli.console import screen
from stream.cli.options import RESULTS, ConfigOption, StoreOption
from stream.cli.session import open_outbox
from stream.config import load_config
from stream.identity import read_worklist

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
    told: Counter[bool] = Counter()
    with open_outbox(store, load_config(config)) as outbox, outbox.transaction() as tx:
        for order in orders:
            told[tx.put_order(order)] += 1
    for line in bad:
        typer.echo(f"{file.name}, line {line.line}: {line.reason}", err=True)
    screen.print(f"{told[True]} orders are new or changed, {told[False]} were there")
    if bad:
        raise typer.Exit(1)


@orders_app.command("refused")
def list_refused(
    store: StoreOption = RESULTS,
    config: ConfigOption = None,
    body: Annotated[
        bool, typer.Option("--body", help="With the message itself, which names patients.")
    ] = False,
) -> None:
    """List the messages of the laboratory's system that were refused, and why."""
    with open_outbox(store, load_config(config)) as outbox:
        for one in outbox.refused_orders():
            screen.print(f"{one.at}  {one.control_id}  {one.reason}")
            if body:
                screen.print(one.body.decode("utf-8", "backslashreplace"))


@orders_app.command("list")
def list_orders(store: StoreOption = RESULTS, config: ConfigOption = None) -> None:
    """List the orders of a store: codes and state, no names."""
    if not (store / "state.db").is_file():
        raise CytostreamError(f"{store}: no store here", "name it with --store")
    table = Table("accession", "container", "barcode", "order", "state", "from")
    with open_outbox(store, load_config(config)) as outbox:
        for order in outbox.orders():
            own = order.identity
            table.add_row(
                own.accession, own.container, own.barcode, own.order, order.state, order.source
            )
    screen.print(table)
