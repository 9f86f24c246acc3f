"""A database on a server that several hosts share: PostgreSQL.

What SQLite keeps in three files are three schemas there. Transactions that add events take one
lock, so that they become visible in the order of their `seq`; leases and the backlog lock rows
alone. Every transaction counts up a row of its connection: where the server went away during a
COMMIT, that row says afterwards whether it took effect.
"""

import uuid
from collections.abc import Sequence
from importlib.util import find_spec

from sqlalchemy import Connection, create_engine, make_url
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ingest import StoreError

PATIENT_S = 600.0  # how long a run waits for a server that went away
_HASTY_S = 5.0  # and a page
_CONNECT_S = 5
_AGAIN = {  # SQLSTATE: transactions that the server ended so that others go on, or to end itself
    "40001",
    "40P01",
    "57P01",
    "57P02",
    "57P03",
}
_COMMITS = """
CREATE TABLE IF NOT EXISTS commits (owner text PRIMARY KEY, number bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now())"""


class PostgresqlBackend:
    """The connections of one process to a schema of a server."""

    dialect: Dialect = PGDialect_psycopg()
    is_kept = True
    makes_tables = True
    take_row = "FOR UPDATE"
    share_row = "FOR SHARE"
    skip_row = "FOR UPDATE SKIP LOCKED"
    now_s = "extract(epoch FROM clock_timestamp())"
    silent_s = """CAST(extract(epoch FROM clock_timestamp()) - greatest(renewed_s,
        extract(epoch FROM pg_postmaster_start_time())) AS double precision)"""
    begin_reading = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    change_mark = "SELECT hashtextextended(pg_current_snapshot()::text, 0)"
    begin_erasing: Sequence[str] = ()
    end_erasing: Sequence[str] = ("VACUUM",)  # rows go; their blocks are the server's
    has_table = (
        "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = :name"
    )
    parts = """SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
        AND attnum > 0 AND NOT attisdropped
        UNION ALL SELECT '', relname FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'i'
        UNION ALL SELECT '', tgname FROM pg_trigger JOIN pg_class ON tgrelid = pg_class.oid
        WHERE relnamespace = current_schema()::regnamespace"""
    size_bytes = """SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
        WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"""

    def __init__(self, url: str, schema: str, sync: str, is_patient: bool):
        if find_spec("psycopg") is None:
            raise StoreError(
                "the state of this store is on a PostgreSQL server",
                "pip install 'cytostream[postgres]'",
            )
        self.place = url
        self.waits_s = PATIENT_S if is_patient else _HASTY_S
        self._schema = schema
        self._owner = uuid.uuid4().hex
        self._number = 0
        self._lock = f"SELECT pg_advisory_xact_lock(hashtextextended('{schema}', 0))"
        flushed = "on" if sync == "FULL" else "off"
        settings = {
            "search_path": schema,
            "synchronous_commit": flushed,
            "client_min_messages": "warning",
            "idle_in_transaction_session_timeout": "10min",
        }
        self._engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            poolclass=NullPool,
            connect_args={
                "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
                "connect_timeout": _CONNECT_S,
                "application_name": "cytostream",
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 30_000,
            },
        )

    def connect(self) -> Connection:
        """A connection whose names are those of the schema."""
        return self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")

    def open_session(self, link: Connection) -> None:
        """Makes the schema where there is none, one process at a time."""
        there = (
            "SELECT count(*) FROM pg_tables WHERE schemaname = %(schema)s AND tablename = 'commits'"
        )
        if not link.exec_driver_sql(there, {"schema": self._schema}).scalar_one():
            link.exec_driver_sql(
                f"""BEGIN; {self._lock}; CREATE SCHEMA IF NOT EXISTS {self._schema};
                {_COMMITS}; COMMIT"""
            )
        link.exec_driver_sql("DELETE FROM commits WHERE at < now() - interval '7 days'")

    def begin(self, ordered: bool) -> str:
        """One message to the server: the lock of ordered ones, and the count of this connection."""
        self._number += 1
        return f"""BEGIN; {f"{self._lock};" if ordered else ""}
            INSERT INTO commits (owner, number) VALUES ('{self._owner}', {self._number})
            ON CONFLICT (owner) DO UPDATE SET number = excluded.number, at = excluded.at"""

    def was_committed(self, link: Connection) -> bool:
        """Whether the last transaction was committed; waits for it where it is being committed."""
        row = link.exec_driver_sql(
            "SELECT number FROM commits WHERE owner = %(owner)s FOR UPDATE", {"owner": self._owner}
        ).first()
        return row is not None and row[0] == self._number

    def is_lost(self, error: DBAPIError) -> bool:
        """Whether the server went away, or ended the transaction for the sake of others."""
        code = getattr(error.orig, "sqlstate", None)
        return error.connection_invalidated or code in _AGAIN or _is_refused(error)

    def hint(self, error: DBAPIError) -> str:
        """What to do about an error."""
        if _is_refused(error):
            return "is the server up? the password is that of PGPASSWORD or of a password file"
        return "check the server's log"

    def close(self) -> None:
        """Nothing is left."""
        self._engine.dispose()


def _is_refused(error: DBAPIError) -> bool:
    """Whether there was no connection at all: psycopg then has no SQLSTATE."""
    import psycopg

    return isinstance(error.orig, psycopg.OperationalError) and error.orig.sqlstate is None
