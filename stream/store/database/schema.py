"""The tables of a store, for SQLite and PostgreSQL: `STATE_SCHEMA` of results, backlog and events,
`REVIEWS_SCHEMA` of the audit trail, with an outbox of its own, `ACCESS_SCHEMA` of accounts and
sessions.

A table or column that a store has not yet is added when it is opened to write. Columns come in
under the same name for good, with a default or NULL for the rows that are there: so a store needs
no numbered migrations (nor Alembic, which takes longer to load than a store to make).
"""

from functools import cache

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from stream.events import ALERT, SLIDE_ALERT
from stream.identity import FIELDS

STATE_SCHEMA = MetaData()
REVIEWS_SCHEMA = MetaData()
ACCESS_SCHEMA = MetaData()
SCHEMAS = {
    "state": STATE_SCHEMA,
    "reviews": REVIEWS_SCHEMA,
    "access": ACCESS_SCHEMA,
}  # by the name of the file
IDENTITY_COLUMNS = tuple(name if name != "order" else "order_id" for name in FIELDS)

_NUMBER = BigInteger().with_variant(Integer(), "sqlite")
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")  # compared by bytes, as in SQLite
_ZERO = text("0")


def _key(name: str) -> Column[str]:
    return Column(name, _TEXT, primary_key=True)


def _words(name: str) -> Column[str]:
    return Column(name, _TEXT, nullable=False)


def _counter(name: str) -> Column[int]:
    return Column(name, _NUMBER, primary_key=True)


def _identity_texts() -> list[Column[str]]:
    return [_words(name) for name in IDENTITY_COLUMNS]


def _table(
    metadata: MetaData, name: str, *parts: Column[str] | Column[int] | UniqueConstraint
) -> None:
    """A table whose key is its order, as SQLite stores it."""
    Table(name, metadata, *parts, sqlite_with_rowid=False)


def _add_outbox(metadata: MetaData) -> None:
    """What every outbox has: events, how far each sink is, leases, and who committed last."""
    records = Table(
        "records",
        metadata,
        _counter("seq"),
        Column("id", _TEXT, nullable=False, unique=True),
        _words("subject"),
        _words("type"),
        Column("added", Double, nullable=False),
        _words("headers"),
        Column("value", LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    Index("records_of_slide", records.c.subject, records.c.type)
    for name, kind in (("alerts_by_time", ALERT), ("slide_alerts_by_time", SLIDE_ALERT)):
        only = text(f"type = '{kind}'")
        Index(name, records.c.added, sqlite_where=only, postgresql_where=only)
    _table(metadata, "store", _key("id"))
    Table("secret", metadata, _words("value"))
    _table(metadata, "cursors", _key("sink"), Column("seq", _NUMBER, nullable=False))
    _table(
        metadata,
        "refused",
        _key("sink"),
        Column("seq", _NUMBER, primary_key=True, autoincrement=False),
        _words("reason"),
    )
    _table(
        metadata,
        "leases",
        _key("name"),
        _words("owner"),
        Column("beat", _NUMBER, nullable=False, server_default=_ZERO),
        Column("renewed_s", Double, nullable=False, server_default=_ZERO),
    )


_add_outbox(STATE_SCHEMA)
_add_outbox(REVIEWS_SCHEMA)

_table(STATE_SCHEMA, "tiles", _key("slide_id"), _key("tile_key"))
CELLS = Table(
    "cells",
    STATE_SCHEMA,
    _counter("row"),
    _words("slide_id"),
    _words("cell_id"),
    _words("body"),
    Column("crop", LargeBinary),
    Column("features", LargeBinary),
    UniqueConstraint("slide_id", "cell_id"),
    sqlite_autoincrement=True,
)
# a page of a slide, in order, without sorting all of its cells
Index("cells_of_slide", CELLS.c.slide_id, CELLS.c.row)
_table(
    STATE_SCHEMA,
    "failures",
    _key("event_id"),
    *map(_words, ("slide_id", "code", "path", "what", "hint")),
)
_table(STATE_SCHEMA, "slides", _key("slide_id"), _words("status"), _words("facts"))

BACKLOG = Table(
    "backlog",
    STATE_SCHEMA,
    _counter("number"),
    Column("path", _TEXT, nullable=False, unique=True),
    Column("priority", _NUMBER, nullable=False),
    Column("mpp", Double),
    Column("set_id", _TEXT),
    Column("state", _TEXT, nullable=False, server_default=text("'waiting'")),
    Column("tries", _NUMBER, nullable=False, server_default=_ZERO),
    Column("deaths", _NUMBER, nullable=False, server_default=_ZERO),
    Column("not_before", Double, nullable=False, server_default=_ZERO),  # of version 0.2
    Column("slide_id", _TEXT),
    Column("reason", _TEXT),
    Column("seconds", Double),
    Column("stamp", _TEXT),
    Column("root", _TEXT),
    Column("asked", _TEXT),
    Column("pause_s", Double, nullable=False, server_default=_ZERO),
    Column("turn", _NUMBER, nullable=False, server_default=_ZERO),
    Column("announced", _TEXT),
    sqlite_autoincrement=True,
)
Index("backlog_of_state", BACKLOG.c.state, BACKLOG.c.priority.desc(), BACKLOG.c.number)

_table(
    STATE_SCHEMA,
    "claims",
    *map(_key, ("slide_id", "source", "place")),
    Column("part", _NUMBER, primary_key=True, autoincrement=False),
    *_identity_texts(),
)
ORDERS = Table(
    "orders",
    STATE_SCHEMA,
    _counter("number"),
    *_identity_texts(),
    *map(_words, ("state", "source", "at")),
    UniqueConstraint("order_id", "accession", "container", "barcode"),
    sqlite_autoincrement=True,
)
for _name in ("accession", "container", "barcode"):
    Index(f"orders_by_{_name}", ORDERS.c[_name])
Index("orders_by_patient", ORDERS.c.patient_id)
Table(
    "refused_orders",
    STATE_SCHEMA,
    _counter("number"),
    *map(_words, ("at", "control_id", "reason")),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
Table("identity_changes", STATE_SCHEMA, _counter("number"), sqlite_autoincrement=True)

TRAIL = Table(
    "trail",
    REVIEWS_SCHEMA,
    Column("number", _NUMBER, primary_key=True, autoincrement=False),
    *map(_words, ("slide_id", "line", "digest")),
)
Index("trail_of_slide", TRAIL.c.slide_id, TRAIL.c.number)
for _name, _columns in {"seals": ("seal",), "stated": ("slide_id", "body")}.items():
    Table(
        _name,
        REVIEWS_SCHEMA,
        Column("number", _NUMBER, primary_key=True, autoincrement=False),
        *map(_words, _columns),
    )

Table(
    "marked_crops",
    REVIEWS_SCHEMA,
    Column("number", _NUMBER, primary_key=True, autoincrement=False),
    _words("slide_id"),
    Column("crop", LargeBinary, nullable=False),
    Column("features", LargeBinary),
)

_table(ACCESS_SCHEMA, "accounts", _key("name"), _words("role"), _words("hash"))
_table(
    ACCESS_SCHEMA,
    "sessions",
    _key("digest"),
    _words("name"),
    Column("ends", Double, nullable=False),
)
_table(
    ACCESS_SCHEMA,
    "provided",  # people whom a provider signs in
    _key("issuer"),
    _key("subject"),
    _words("name"),
    _words("shown"),
    _words("member_of"),
    UniqueConstraint("name"),
)
Table("secret", ACCESS_SCHEMA, _words("value"))
Table("preferences", ACCESS_SCHEMA, _key("name"), _words("body"))
_table(ACCESS_SCHEMA, "seen_areas", _key("name"), _key("slide_id"), _words("squares"))
_table(ACCESS_SCHEMA, "removed", _key("name"), Column("at", Double, nullable=False))

_KEPT = "the audit trail only grows"
_TRAIL_GROWS = {  # triggers by name
    "sqlite": {
        "trail_keeps": f"""CREATE TRIGGER IF NOT EXISTS trail_keeps BEFORE UPDATE ON trail
            BEGIN SELECT raise(ABORT, '{_KEPT}'); END""",
        "trail_stays": f"""CREATE TRIGGER IF NOT EXISTS trail_stays BEFORE DELETE ON trail
            BEGIN SELECT raise(ABORT, '{_KEPT}'); END""",
    },
    "postgresql": {
        "trail_stays": f"""CREATE OR REPLACE FUNCTION keep_trail() RETURNS trigger
            LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{_KEPT}'; END $$;
            CREATE OR REPLACE TRIGGER trail_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON trail
            EXECUTE FUNCTION keep_trail()""",
    },
}
_ROUTINES = {  # as SQLite has it
    "sqlite": (),
    "postgresql": (
        """CREATE OR REPLACE FUNCTION json_extract(body text, path text) RETURNS text
        LANGUAGE sql IMMUTABLE
        AS $$ SELECT jsonb_path_query_first(body::jsonb, path::jsonpath) #>> '{}' $$""",
    ),
}


def _triggers(metadata: MetaData, dialect: Dialect) -> dict[str, str]:
    return _TRAIL_GROWS[dialect.name] if metadata is REVIEWS_SCHEMA else {}


@cache
def wanted_parts(metadata: MetaData, dialect: Dialect) -> frozenset[tuple[str, str]]:
    """The columns (table, column), and the names of indices and triggers ("", name)."""
    tables = metadata.sorted_tables
    columns = [(table.name, column.name) for table in tables for column in table.columns]
    named = [("", str(index.name)) for table in tables for index in table.indexes]
    return frozenset([*columns, *named, *(("", name) for name in _triggers(metadata, dialect))])


@cache
def table_statements(metadata: MetaData, dialect: Dialect) -> tuple[str, ...]:
    """What makes the tables that are not there."""
    made: list[str] = []
    for table in metadata.sorted_tables:
        made.append(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)))
    return (*made, *_ROUTINES[dialect.name])


@cache
def index_statements(metadata: MetaData, dialect: Dialect) -> tuple[str, ...]:
    """What makes the indices and triggers that are not there."""
    made = [
        str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect))
        for table in metadata.sorted_tables
        for index in sorted(table.indexes, key=lambda one: str(one.name))
    ]
    return (*made, *_triggers(metadata, dialect).values())


def column_statement(table: str, column: Column[str], dialect: Dialect) -> str:
    """What adds a column to a table of an earlier version."""
    return f"ALTER TABLE {table} ADD COLUMN {CreateColumn(column).compile(dialect=dialect)}"
