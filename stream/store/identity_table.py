"""What is stated of the slides' identities, and the orders of the worklist, in the state file."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from stream.identity import (
    CODE_FIELDS,
    FIELDS,
    Claim,
    Identity,
    Order,
    Resolution,
    resolve,
)

from .database import State

_COLUMNS = ", ".join(name if name != "order" else "order_id" for name in FIELDS)
_TEXTS = _COLUMNS.replace(",", " TEXT NOT NULL,") + " TEXT NOT NULL"
IDENTITY_TABLES = f"""
CREATE TABLE IF NOT EXISTS claims (slide_id TEXT, source TEXT, place TEXT, part INTEGER, {_TEXTS},
    PRIMARY KEY (slide_id, source, place, part)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (number INTEGER PRIMARY KEY AUTOINCREMENT, {_TEXTS},
    state TEXT NOT NULL, source TEXT NOT NULL, at TEXT NOT NULL,
    UNIQUE (order_id, accession, container, barcode));
CREATE INDEX IF NOT EXISTS orders_by_accession ON orders (accession);
CREATE INDEX IF NOT EXISTS orders_by_container ON orders (container);
CREATE INDEX IF NOT EXISTS orders_by_barcode ON orders (barcode);
CREATE INDEX IF NOT EXISTS orders_by_patient ON orders (patient_id);
CREATE TABLE IF NOT EXISTS refused_orders (number INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL, control_id TEXT NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS identity_changes (number INTEGER PRIMARY KEY AUTOINCREMENT);
"""
_REFUSED_MAX = 1_000
_REFUSED_BYTES = 64_000
_ORDER_COLUMNS = f"{_COLUMNS}, state, source, number"


@dataclass(frozen=True, slots=True)
class RefusedOrder:
    """A message that was no order: when it came, its control id, why it was refused, and its first
    64 kB, which may name a patient.
    """

    at: str
    control_id: str
    reason: str
    body: bytes


class IdentityReader:
    """Reads; needs `_state`. A store from before there were identities has none."""

    _state: State

    def resolution(self, slide_id: str, stated: Identity | None = None) -> Resolution:
        """Whose slide it is, by all that is stated of it now; `stated` is what a person said."""
        claims = self.claims(slide_id)
        asked = claims if stated is None else [Claim("person", stated)]
        return resolve(claims, self.orders_with(asked), stated)

    def claims(self, slide_id: str) -> list[Claim]:
        """What sources other than people state of a slide, in a fixed order."""
        if not self._has_identities():
            return []
        sql = f"""SELECT source, {_COLUMNS} FROM claims WHERE slide_id = ?
            ORDER BY source, place, part"""
        return [Claim(row[0], Identity(*row[1:])) for row in self._state.rows(sql, slide_id)]

    def orders_with(self, claims: Iterable[Claim]) -> list[Order]:
        """The orders that some code of these claims may lead to."""
        known = {
            value
            for claim in claims
            for name, value in claim.identity.known().items()
            if name in CODE_FIELDS
        }
        if not known or not self._has_identities():
            return []
        marks = ", ".join("?" * len(known))
        where = " OR ".join(
            f"{name} IN ({marks})" for name in ("accession", "container", "barcode", "order_id")
        )
        sql = f"SELECT {_ORDER_COLUMNS} FROM orders WHERE {where} ORDER BY number"
        return [_order(row) for row in self._state.rows(sql, *([*known] * 4))]

    def orders(self, patient_id: str | None = None) -> list[Order]:
        """The worklist, or what it has of one patient, in the order of arrival."""
        if not self._has_identities():
            return []
        where = "" if patient_id is None else "WHERE patient_id = ?"
        about = [] if patient_id is None else [patient_id]
        sql = f"SELECT {_ORDER_COLUMNS} FROM orders {where} ORDER BY number"
        return [_order(row) for row in self._state.rows(sql, *about)]

    def refused_orders(self) -> list[RefusedOrder]:
        """The last thousand messages that were refused, oldest first."""
        there = "SELECT 1 FROM sqlite_master WHERE name = 'refused_orders'"
        if not self._state.rows(there):
            return []
        sql = "SELECT at, control_id, reason, body FROM refused_orders ORDER BY number"
        return [RefusedOrder(*row) for row in self._state.rows(sql)]

    def last_identity_change(self) -> int:
        """Another number after every change of claims or orders."""
        if not self._has_identities():
            return 0
        return self._state.integer("SELECT coalesce(max(number), 0) FROM identity_changes")

    def _has_identities(self) -> bool:
        sql = "SELECT count(*) FROM sqlite_master WHERE name IN ('claims', 'identity_changes')"
        return self._state.integer(sql) == 2


class IdentityWriter:
    """Writes, inside one transaction; needs `_db`."""

    _db: sqlite3.Connection

    def set_claims(self, slide_id: str, source: str, place: str, claims: Iterable[Claim]) -> None:
        """Replaces what a source has stated of a slide at a place, as a path."""
        key = (slide_id, source, place)
        sql = f"""SELECT {_COLUMNS} FROM claims
            WHERE slide_id = ? AND source = ? AND place = ? ORDER BY part"""
        before = [Identity(*row) for row in self._db.execute(sql, key)]
        stated = [claim.identity for claim in claims]
        if stated == before:
            return
        self._db.execute("DELETE FROM claims WHERE slide_id = ? AND source = ? AND place = ?", key)
        marks = ", ".join("?" * (4 + len(FIELDS)))
        self._db.executemany(
            f"INSERT INTO claims (slide_id, source, place, part, {_COLUMNS}) VALUES ({marks})",
            [(*key, part, *_values(one)) for part, one in enumerate(stated)],
        )
        self._mark()

    def forget_claims(self, slide_id: str) -> None:
        """Forgets all that is stated of a slide, but by people."""
        self._db.execute("DELETE FROM claims WHERE slide_id = ?", (slide_id,))
        self._mark()

    def put_order(self, order: Order) -> bool:
        """Adds an order, or what is new of one that is there, by all its codes; whether it says
        anything new.
        """
        own = order.identity
        if own.order and (order.is_change or order.state == "cancelled"):
            return self._replace_order(order)
        return self._put(order)

    def _replace_order(self, order: Order) -> bool:
        """What is there of an order number is cancelled, or gives way to its change."""
        number = order.identity.order
        if order.state == "cancelled":
            sql = "UPDATE orders SET state = 'cancelled' WHERE order_id = ? AND state = 'open'"
            count = self._db.execute(sql, (number,)).rowcount
            there = self._db.execute("SELECT 1 FROM orders WHERE order_id = ?", (number,))
            if there.fetchone():
                self._mark()
                return count > 0
            return self._put(order)
        before = self._db.execute(
            f"SELECT {_ORDER_COLUMNS} FROM orders WHERE order_id = ?", (number,)
        )
        same = [_order(row).identity == order.identity for row in before]
        if same == [True]:
            return self._put(order)
        self._db.execute("DELETE FROM orders WHERE order_id = ?", (number,))
        return self._put(order)

    def _put(self, order: Order) -> bool:
        own = order.identity
        codes = (own.order, own.accession, own.container, own.barcode)
        sql = f"""SELECT {_ORDER_COLUMNS} FROM orders
            WHERE order_id = ? AND accession = ? AND container = ? AND barcode = ?"""
        row = self._db.execute(sql, codes).fetchone()
        if row and (_order(row).identity, row[-3]) == (own, order.state):
            return False
        marks = ", ".join("?" * (len(FIELDS) + 3))
        changed = ", ".join(
            f"{name} = excluded.{name}"
            for name in ("patient_id", "patient_name", "birth_date", "state", "source", "at")
        )
        self._db.execute(
            f"""INSERT INTO orders ({_COLUMNS}, state, source, at) VALUES ({marks})
            ON CONFLICT (order_id, accession, container, barcode) DO UPDATE SET {changed}""",
            (*_values(own), order.state, order.source, datetime.now(UTC).isoformat()),
        )
        self._mark()
        return True

    def keep_refused_order(self, control_id: str, reason: str, body: bytes) -> None:
        """Keeps a message that was refused; the oldest of too many go."""
        at = datetime.now(UTC).isoformat()
        self._db.execute(
            "INSERT INTO refused_orders (at, control_id, reason, body) VALUES (?, ?, ?, ?)",
            (at, control_id, reason, body[:_REFUSED_BYTES]),
        )
        self._db.execute(
            """DELETE FROM refused_orders
            WHERE number <= (SELECT max(number) FROM refused_orders) - ?""",
            (_REFUSED_MAX,),
        )

    def _mark(self) -> None:
        self._db.execute("DELETE FROM identity_changes")
        self._db.execute("INSERT INTO identity_changes DEFAULT VALUES")


def _values(identity: Identity) -> list[str]:
    return [getattr(identity, name) for name in FIELDS]


def _order(row: tuple[Any, ...]) -> Order:
    *values, state, source, number = row
    return Order(Identity(*values), state, source, number)
