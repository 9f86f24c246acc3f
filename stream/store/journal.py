"""How far each slide is: tiles done, cells found, status. What makes a killed run go on where it
stopped.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ingest import Failure
from stream.events import JsonObject

from .database import State, Statements

_PAGE = 256
CellEntry = tuple[str, str, bytes | None, bytes | None]


@dataclass(frozen=True, slots=True)
class CellRow:
    """A journalled cell: `row` grows in order of insertion, `body` is the caller's JSON; `crop` and
    `features` are None once dropped.
    """

    row: int
    cell_id: str
    body: str
    crop: bytes | None
    features: bytes | None = None


@dataclass(frozen=True, slots=True)
class KeptFailure:
    """What a reader or the operating system said of a file; it names the file, and stays here."""

    code: str
    slide_id: str
    path: str
    what: str
    hint: str


class JournalReader:
    """Reads; needs `_state`."""

    _state: State

    def tiles_done(self, slide_id: str) -> set[str]:
        return {
            key
            for (key,) in self._state.rows(
                "SELECT tile_key FROM tiles WHERE slide_id = :slide_id", slide_id=slide_id
            )
        }

    def cell_ids(self, slide_id: str) -> set[str]:
        return {
            cell
            for (cell,) in self._state.rows(
                "SELECT cell_id FROM cells WHERE slide_id = :slide_id", slide_id=slide_id
            )
        }

    def cells(self, slide_id: str, after_row: int = 0) -> Iterator[CellRow]:
        """The cells of a slide in order of insertion, a page at a time: memory does not grow with
        the slide.
        """
        sql = (
            "SELECT row, cell_id, body, crop, features FROM cells "
            f"WHERE slide_id = :slide_id AND row > :after_row ORDER BY row LIMIT {_PAGE}"
        )
        while page := self._state.rows(sql, slide_id=slide_id, after_row=after_row):
            yield from (CellRow(*values) for values in page)
            after_row = page[-1][0]

    def status(self, slide_id: str) -> str | None:
        """The slide's last status, None where it was never set."""
        sql = "SELECT status FROM slides WHERE slide_id = :slide_id"
        rows = self._state.rows(sql, slide_id=slide_id)
        return rows[0][0] if rows else None

    def facts(self, slide_id: str) -> JsonObject:
        """What the last `set_status` said beside the status; empty where it was never set."""
        sql = "SELECT facts FROM slides WHERE slide_id = :slide_id"
        rows = self._state.rows(sql, slide_id=slide_id)
        return json.loads(rows[0][0]) if rows else {}

    def facts_of_path(self, path: str) -> JsonObject:
        """The facts of a slide under way, by its resolved path; empty where none is."""
        sql = (
            "SELECT facts FROM slides WHERE status = 'running' AND json_extract(facts, "
            "'$.slide.path') = :path"
        )
        rows = self._state.rows(sql, path=path)
        return json.loads(rows[0][0]) if rows else {}

    def odd_shares(self, scanner: str, slides: int, but: str) -> list[tuple[int, int]]:
        """(anomalous cells, cells) of a scanner's last finished slides, newest first; without the
        slide `but`.
        """
        sql = """SELECT CAST(json_extract(facts, '$.odd') AS INTEGER),
            CAST(json_extract(facts, '$.progress.cells') AS INTEGER)
            FROM slides
            WHERE status IN ('done', 'failures')
            AND json_extract(facts, '$.slide.scanner') = :scanner
            AND slide_id != :but
            AND json_extract(facts, '$.odd') IS NOT NULL
            ORDER BY json_extract(facts, '$.at') DESC LIMIT :slides"""
        found = self._state.rows(sql, scanner=scanner, but=but, slides=slides)
        return [(odd, cells) for odd, cells in found]

    def failures(self) -> list[KeptFailure]:
        """What could not be read, in the words of whoever said so."""
        sql = "SELECT code, slide_id, path, what, hint FROM failures ORDER BY path, code, what"
        return [KeptFailure(*row) for row in self._state.rows(sql)]

    def slide_ids(self) -> list[str]:
        return [
            slide_id
            for (slide_id,) in self._state.rows("SELECT slide_id FROM slides ORDER BY slide_id")
        ]


class JournalWriter:
    """Writes, inside one transaction; needs `_db`."""

    _db: Statements

    def tile_done(self, slide_id: str, tile_key: str) -> None:
        sql = "INSERT INTO tiles VALUES (:slide_id, :tile_key) ON CONFLICT DO NOTHING"
        self._db.change(sql, slide_id=slide_id, tile_key=tile_key)

    def add_cells(self, slide_id: str, rows: Iterable[CellEntry]) -> None:
        """Adds (cell_id, JSON text, crop bytes or None, features as bytes or None); a cell that is
        there already stays as it is.
        """
        sql = (
            "INSERT INTO cells (slide_id, cell_id, body, crop, features) VALUES "
            "(:slide_id, :cell_id, :body, :crop, :features) ON CONFLICT DO NOTHING"
        )
        names = ("cell_id", "body", "crop", "features")
        self._db.change_all(
            sql, ({"slide_id": slide_id, **dict(zip(names, row, strict=True))} for row in rows)
        )

    def drop_crops(self, slide_id: str, upto_row: int) -> None:
        """Forgets crops and features up to and with a row, once they are in the result store."""
        sql = (
            "UPDATE cells SET crop = NULL, features = NULL "
            "WHERE slide_id = :slide_id AND row <= :upto_row AND crop IS NOT NULL"
        )
        self._db.change(sql, slide_id=slide_id, upto_row=upto_row)

    def keep_failure(self, event_id: str, path: str, failure: Failure) -> None:
        """Keeps the words of a failure; its event holds a code and a fixed sentence."""
        sql = """INSERT INTO failures (event_id, slide_id, code, path, what, hint)
            VALUES (:event_id, :slide_id, :code, :path, :what, :hint)
            ON CONFLICT (event_id) DO UPDATE SET slide_id = excluded.slide_id,
            code = excluded.code, path = excluded.path, what = excluded.what,
            hint = excluded.hint"""
        self._db.change(
            sql,
            event_id=event_id,
            slide_id=failure.slide_id,
            code=failure.code,
            path=path,
            what=failure.what,
            hint=failure.hint,
        )

    def set_status(self, slide_id: str, status: str, **facts: object) -> None:
        """Sets the status, and the facts (JSON values) beside it."""
        sql = """INSERT INTO slides VALUES (:slide_id, :status, :facts)
            ON CONFLICT (slide_id) DO UPDATE SET status = excluded.status, facts = excluded.facts"""
        self._db.change(sql, slide_id=slide_id, status=status, facts=json.dumps(facts))
