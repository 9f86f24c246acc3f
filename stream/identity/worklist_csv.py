"""A worklist as CSV: a header with names of `Identity`'s fields and perhaps `state` (open or
cancelled), one order a line.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from .matching import Order
from .specimen import CODE_FIELDS, FIELDS, Identity, IdentityError, identity_from

BYTES_MAX = 50_000_000
STATES = ("open", "cancelled")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no order: its number in the file, and why."""

    line: int
    reason: str


def read_worklist(path: Path) -> tuple[list[Order], list[BadLine]]:
    """The orders of a file (UTF-8; separated by comma, semicolon or tab), and lines that are none.

    Raises:
        IdentityError: no such file, too large, or a header that names no code.
    """
    try:
        if path.stat().st_size > BYTES_MAX:
            raise IdentityError(f"{path}: over {BYTES_MAX // 1_000_000} MB", "split the file")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise IdentityError(
            f"{path}: cannot be read: {error.strerror}", "name the file that was exported"
        ) from error
    except UnicodeDecodeError as error:
        raise IdentityError(f"{path}: it is not UTF-8", "export it as UTF-8") from error
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    _check_header(path, rows.fieldnames or ())
    return _orders(rows, path)


def _check_header(path: Path, names: object) -> None:
    given = [str(name) for name in cast(tuple[str, ...], names)]
    unknown = [name for name in given if name not in (*FIELDS, "state")]
    if unknown or not set(given) & set(CODE_FIELDS) or len(set(given)) < len(given):
        raise IdentityError(
            f"{path}: the first line must name its columns, each once",
            f"of {', '.join((*FIELDS, 'state'))}, at least one of {', '.join(CODE_FIELDS)}",
        )


def _orders(rows: "csv.DictReader[str]", path: Path) -> tuple[list[Order], list[BadLine]]:
    orders: list[Order] = []
    bad: list[BadLine] = []
    while True:
        try:
            row = next(rows)
            orders.append(_order(row, path.name))
        except StopIteration:
            return orders, bad
        except csv.Error as error:
            bad.append(BadLine(rows.line_num, str(error)))
        except IdentityError as error:
            bad.append(BadLine(rows.line_num, error.what))


def _order(row: Mapping[str | None, str | None], source: str) -> Order:
    if None in row or None in row.values():
        raise IdentityError("another number of columns than the first line has")
    values = {str(name): str(value) for name, value in row.items()}
    state = values.pop("state", "") or "open"
    identity = identity_from(values)
    if state not in STATES:
        raise IdentityError(f"state is one of {', '.join(STATES)}")
    if identity == Identity() or not any(getattr(identity, name) for name in CODE_FIELDS):
        raise IdentityError("no code at all")
    return Order(identity, "cancelled" if state == "cancelled" else "open", f"csv {source}"[:100])
