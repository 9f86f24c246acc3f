"""How each person has set up the review page, in the database `access.db` of a store."""

from pathlib import Path

from stream.store.database import ACCESS_SCHEMA, State, Unwritable


class PreferenceTable:
    """A text (JSON) a person."""

    def __init__(self, path: Path, unwritable: Unwritable = "refuse"):
        """Opens the file, and makes the table where it has none.

        Raises:
            StoreError: it cannot be opened.
        """
        self._state = State(path, ACCESS_SCHEMA, unwritable=unwritable)

    def body(self, name: str) -> str | None:
        """What a person has chosen; None where there is nothing."""
        rows = self._state.rows("SELECT body FROM preferences WHERE name = :name", name=name)
        return rows[0][0] if rows else None

    def put(self, name: str, body: str | None) -> None:
        """Keeps what a person has chosen; None removes it.

        Raises:
            StoreError: the file cannot be written.
        """
        with self._state.transaction() as db:
            db.change("DELETE FROM preferences WHERE name = :name", name=name)
            if body is not None:
                db.change("INSERT INTO preferences VALUES (:name, :body)", name=name, body=body)

    def close(self) -> None:
        """Closes the file."""
        self._state.close()
