"""Where the state of a store lies: in files of its folder, or on a PostgreSQL server that the
folder names.
"""

from pathlib import Path

from ingest import StoreError
from stream.store.private_files import write_private_file

SERVER_FILE = "state.url"
_DRIVERS = ("postgresql", "postgres")


def server_of(store: Path) -> str:
    """The URL of the server that has the state of a store; empty where files of the folder do."""
    path = store / SERVER_FILE
    return path.read_text().strip() if path.is_file() else ""


def has_state(store: Path) -> bool:
    """Whether a folder is a store: it has a state, or names the server that has it."""
    return (store / "state.db").is_file() or (store / SERVER_FILE).is_file()


def use_server(store: Path, url: str) -> None:
    """Makes a folder a store whose state lies on a server, as `postgresql://USER@HOST/DATABASE`.
    The folder keeps the URL; the password is that of the environment (PGPASSWORD) or of a
    password file (PGPASSFILE, ~/.pgpass).

    Raises:
        StoreError: the URL is none of PostgreSQL or has a password, or the store has a state
            elsewhere.
    """
    checked_url(url)
    known = server_of(store)
    if known == url:
        return
    if known or (store / "state.db").is_file():
        where = known or store / "state.db"
        raise StoreError(
            f"{store}: its state is in {where}", "leave out --state, or choose another --store"
        )
    write_private_file(store / SERVER_FILE, f"{url}\n".encode())


def checked_url(url: str) -> str:
    """The URL, where it may be kept.

    Raises:
        StoreError: it is none of PostgreSQL, or has a password.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    form = "state it as postgresql://USER@HOST/DATABASE"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise StoreError("--state: no URL of a database", form) from error
    if parsed.drivername not in _DRIVERS or not parsed.database:
        raise StoreError(f"--state: no database of PostgreSQL: {parsed}", form)
    if parsed.password is not None or {"password", "passfile"} & set(parsed.query):
        raise StoreError(
            "--state: a password in the URL would be kept in the store",
            "state it in PGPASSWORD, or in a password file (PGPASSFILE, ~/.pgpass)",
        )
    return url
