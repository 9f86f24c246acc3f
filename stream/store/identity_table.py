"""What is stated of the slides' identities, and the orders of the worklist, in the state file."""

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

from .database import IDENTITY_COLUMNS, BoundValue, State, Statements, listed

_COLUMNS = ", ".join(IDENTITY_COLUMNS)
_NAMED = ", ".join(f":{name}" for name in IDENTITY_COLUMNS)
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
        sql = f"""SELECT source, {_COLUMNS} FROM claims WHERE slide_id = :slide_id
            ORDER BY source, place, part"""
        rows = self._state.rows(sql, slide_id=slide_id)
        return [Claim(row[0], Identity(*row[1:])) for row in rows]

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
        marks, values = listed("code", known)
        where = " OR ".join(
            f"{name} IN ({marks})" for name in ("accession", "container", "barcode", "order_id")
        )
        sql = f"SELECT {_ORDER_COLUMNS} FROM orders WHERE {where} ORDER BY number"
        return [_order(row) for row in self._state.rows(sql, **values)]

    def orders(self, patient_id: str | None = None) -> list[Order]:
        """The worklist, or what it has of one patient, in the order of arrival."""
        if not self._has_identities():
            return []
        where = "" if patient_id is None else "WHERE patient_id = :patient_id"
        about = {} if patient_id is None else {"patient_id": patient_id}
        sql = f"SELECT {_ORDER_COLUMNS} FROM orders {where} ORDER BY number"
        return [_order(row) for row in self._state.rows(sql, **about)]

    def refused_orders(self) -> list[RefusedOrder]:
        """The last thousand messages that were refused, oldest first."""
        if not self._state.has_table("refused_orders"):
            return []
        sql = "SELECT at, control_id, reason, body FROM refused_orders ORDER BY number"
        return [RefusedOrder(*row) for row in self._state.rows(sql)]

    def last_identity_change(self) -> int:
        """Another number after every change of claims or orders."""
        if not self._has_identities():
            return 0
        return self._state.integer("SELECT coalesce(max(number), 0) FROM identity_changes")

    def _has_identities(self) -> bool:
        return all(self._state.has_table(name) for name in ("claims", "identity_changes"))


class IdentityWriter:
    """Writes, inside one transaction; needs `_db`."""

    _db: Statements

    def set_claims(self, slide_id: str, source: str, place: str, claims: Iterable[Claim]) -> None:
        """Replaces what a source has stated of a slide at a place, as a path."""
        key: dict[str, BoundValue] = {"slide_id": slide_id, "source": source, "place": place}
        where = "slide_id = :slide_id AND source = :source AND place = :place"
        sql = f"SELECT {_COLUMNS} FROM claims WHERE {where} ORDER BY part"
        before = [Identity(*row) for row in self._db.rows(sql, **key)]
        stated = [claim.identity for claim in claims]
        if stated == before:
            return
        self._db.change(f"DELETE FROM claims WHERE {where}", **key)
        self._db.change_all(
            f"""INSERT INTO claims (slide_id, source, place, part, {_COLUMNS})
            VALUES (:slide_id, :source, :place, :part, {_NAMED})""",
            [{**key, "part": part, **_values(one)} for part, one in enumerate(stated)],
        )
        self._mark()

    def forget_claims(self, slide_id: str) -> None:
        """Forgets all that is stated of a slide, but by people."""
        self._db.change("DELETE FROM claims WHERE slide_id = :slide_id", slide_id=slide_id)
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
            sql = """UPDATE orders SET state = 'cancelled'
                WHERE order_id = :number AND state = 'open'"""
            count = self._db.change(sql, number=number)
            if self._db.row("SELECT 1 FROM orders WHERE order_id = :number", number=number):
                self._mark()
                return count > 0
            return self._put(order)
        sql = f"SELECT {_ORDER_COLUMNS} FROM orders WHERE order_id = :number"
        before = self._db.rows(sql, number=number)
        same = [_order(row).identity == order.identity for row in before]
        if same == [True]:
            return self._put(order)
        self._db.change("DELETE FROM orders WHERE order_id = :number", number=number)
        return self._put(order)

    def _put(self, order: Order) -> bool:
        own = order.identity
        sql = f"""SELECT {_ORDER_COLUMNS} FROM orders
            WHERE order_id = :order_id AND accession = :accession AND container = :container
            AND barcode = :barcode"""
        row = self._db.row(
            sql,
            order_id=own.order,
            accession=own.accession,
            container=own.container,
            barcode=own.barcode,
        )
        if row and (_order(row).identity, row[-3]) == (own, order.state):
            return False
        changed = ", ".join(
            f"{name} = excluded.{name}"
            for name in ("patient_id", "patient_name", "birth_date", "state", "source", "at")
        )
        self._db.change(
            f"""INSERT INTO orders ({_COLUMNS}, state, source, at)
            VALUES ({_NAMED}, :state, :source, :at)
            ON CONFLICT (order_id, accession, container, barcode) DO UPDATE SET {changed}""",
            **_values(own),
            state=order.state,
            source=order.source,
            at=datetime.now(UTC).isoformat(),
        )
        self._mark()
        return True

    def keep_refused_order(self, control_id: str, reason: str, body: bytes) -> None:
        """Keeps a message that was refused; the oldest of too many go."""
        self._db.change(
            """INSERT INTO refused_orders (at, control_id, reason, body)
            VALUES (:at, :control_id, :reason, :body)""",
            at=datetime.now(UTC).isoformat(),
            control_id=control_id,
            reason=reason,
            body=body[:_REFUSED_BYTES],
        )
        self._db.change(
            """DELETE FROM refused_orders
            WHERE number <= (SELECT max(number) FROM refused_orders) - :most""",
            most=_REFUSED_MAX,
        )

    def _mark(self) -> None:
        self._db.change("DELETE FROM identity_changes")
        self._db.change("INSERT INTO identity_changes DEFAULT VALUES")


def _values(identity: Identity) -> dict[str, str]:
    values = (getattr(identity, name) for name in FIELDS)
    return dict(zip(IDENTITY_COLUMNS, values, strict=True))


def _order(row: tuple[Any, ...]) -> Order:
    *values, state, source, number = row
    return Order(Identity(*values), state, source, number)
