"""What part of each slide each person has seen, in the database `access.db` of a store."""

from pathlib import Path

from stream.store.database import ACCESS_SCHEMA, State, Unwritable


class SeenAreaTable:
    """A text a person and slide."""

    def __init__(self, path: Path, unwritable: Unwritable = "refuse"):
        """Opens the file, and makes the table where it has none.

        Raises:
            StoreError: it cannot be opened.
        """
        self._state = State(path, ACCESS_SCHEMA, unwritable=unwritable)

    def squares(self, name: str, slide_id: str) -> str:
        """What a person has seen of a slide; empty where there is nothing."""
        query = "SELECT squares FROM seen_areas WHERE name = :name AND slide_id = :slide_id"
        rows = self._state.rows(query, name=name, slide_id=slide_id)
        return rows[0][0] if rows else ""

    def put(self, name: str, slide_id: str, squares: str) -> None:
        """Keeps what a person has seen of a slide.

        Raises:
            StoreError: the file cannot be written.
        """
        about = {"name": name, "slide_id": slide_id}
        with self._state.transaction() as db:
            db.change("DELETE FROM seen_areas WHERE name = :name AND slide_id = :slide_id", **about)
            insert = "INSERT INTO seen_areas VALUES (:name, :slide_id, :squares)"
            db.change(insert, **about, squares=squares)

    def forget(self, name: str) -> None:
        """Removes all of a person.

        Raises:
            StoreError: the file cannot be written.
        """
        with self._state.transaction() as db:
            db.change("DELETE FROM seen_areas WHERE name = :name", name=name)

    def close(self) -> None:
        """Closes the file."""
        self._state.close()
