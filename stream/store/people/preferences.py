"""How each person has set up the review page, in the file `access.db` of a store."""

from pathlib import Path

from stream.store.database import State, Unwritable

_TABLES = """
CREATE TABLE IF NOT EXISTS preferences (name TEXT PRIMARY KEY, body TEXT NOT NULL);
"""


class PreferenceTable:
    """A text (JSON) a person."""

    def __init__(self, path: Path, unwritable: Unwritable = "refuse"):
        """Opens the file, and makes the table where it has none.

        Raises:
            StoreError: it cannot be opened.
        """
        self._state = State(path, _TABLES, unwritable=unwritable)

    def body(self, name: str) -> str | None:
        """What a person has chosen; None where there is nothing."""
        rows = self._state.rows("SELECT body FROM preferences WHERE name = ?", name)
        return rows[0][0] if rows else None

    def put(self, name: str, body: str | None) -> None:
        """Keeps what a person has chosen; None removes it.

        Raises:
            StoreError: the file cannot be written.
        """
        with self._state.transaction() as db:
            db.execute("DELETE FROM preferences WHERE name = ?", (name,))
            if body is not None:
                db.execute("INSERT INTO preferences VALUES (?, ?)", (name, body))

    def close(self) -> None:
        """Closes the file."""
        self._state.close()
