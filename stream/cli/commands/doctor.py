"""`cytostream doctor`: does everything that a run needs work on this machine, and if not,
what to do.
"""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from classify import SHIPPED, load_model, open_engine
from ingest import CytostreamError, openslide_version
from stream.cli.console import screen
from stream.cli.options import RESULTS, ConfigOption, ModelOption, StoreOption
from stream.config import load_config
from stream.store import open_to_others

FREE_GB = 5


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    ok: bool
    says: str


def doctor(
    config: ConfigOption = None,
    model: ModelOption = SHIPPED,
    store: StoreOption = RESULTS,
    json_out: Annotated[bool, typer.Option("--json", help="One JSON object to stdout.")] = False,
) -> None:
    """Check this machine: reader, model, engine, broker, disk. Exit status 1 if something
    that a run needs is missing.
    """
    findings = check_machine(config, model, store)
    if json_out:
        typer.echo(json.dumps([asdict(one) for one in findings]))
    else:
        screen.print(findings_table(findings))
    if not all(one.ok for one in findings if one.what != "broker"):
        raise typer.Exit(1)


def check_machine(config: Path | None, model: Path, store: Path) -> list[Finding]:
    """What works on this machine of all that a run needs."""
    checks: dict[str, Callable[[], str]] = {
        "python": lambda: sys.version.split()[0],
        "slide reader": reader,
        "model": lambda: says_of_model(model),
        "engine": lambda: says_of_engine(model),
        "disk": disk,
        "store": lambda: says_of_store(store),
        "broker": lambda: says_of_broker(config),
    }
    return [find(name, check) for name, check in checks.items()]


def findings_table(findings: list[Finding]) -> Table:
    table = Table("", "", "")
    for one in findings:
        table.add_row("ok" if one.ok else "no", one.what, one.says)
    return table


def find(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except CytostreamError as error:
        return Finding(name, False, str(error))


def reader() -> str:
    found = openslide_version()
    if tuple(map(int, found.split("."))) < (4, 0, 1):
        raise CytostreamError(
            f"OpenSlide {found}",
            "4.0.1 closes a hole that crafted slides use: pip install -U openslide-bin",
        )
    return f"OpenSlide {found}"


def says_of_model(folder: Path) -> str:
    card = load_model(folder).card
    return f"{card.name}: {len(card.classes)} classes, {len(card.sigmas)} draws"


def says_of_engine(folder: Path) -> str:
    model = load_model(folder)
    engine = open_engine(model)
    px = model.card.image_px
    n = engine.batch
    batch = (
        np.zeros((n, 3, px, px), np.float32),
        np.zeros((n, 3, px, px), np.float32),
        np.ones(n, np.float32),
    )
    engine.errors(*batch)
    start = perf_counter()
    engine.errors(*batch)
    return (
        f"{engine.name} {engine.version}, {engine.precision}, "
        f"{n / (perf_counter() - start):.0f} passes/s"
    )


def disk() -> str:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    if free < FREE_GB:
        raise CytostreamError(f"{free:.1f} GB free here", f"{FREE_GB} GB are wanted")
    return f"{free:.0f} GB free here"


def says_of_store(store: Path) -> str:
    """Raises CytostreamError where other accounts of this machine can read results: they may
    name patients.
    """
    if not store.exists():
        return f"{store} is not there yet"
    if found := next(open_to_others(store), None):
        raise CytostreamError(
            f"{found}: other accounts can read or write it", f"chmod -R go= {store}"
        )
    return f"{store}: nobody else can read it"


def says_of_broker(config: Path | None) -> str:
    from stream.kafka import topic_names

    kafka = load_config(config).kafka
    return f"{kafka.bootstrap}: {len(topic_names(kafka))} topics"
