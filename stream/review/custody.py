"""What lies outside a store, so that who can write to the store cannot forge its audit trail: its
keys, and heads that it had.

The key seals each entry (HMAC-SHA-256 of its number and digest). The heads, kept with every act,
show a trail that was cut.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ingest import StoreError
from stream.store import PRIVATE_FILE, make_private_folder


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A key, and from which entry on it seals; `store` is the path of the store at that time."""

    key: str
    since: int
    store: str

    @property
    def key_id(self) -> str:
        return hashlib.sha256(self.key.encode()).hexdigest()[:12]

    def seal(self, number: int, digest: str) -> str:
        """What only the holder of the key can write beside an entry."""
        made = hmac.new(bytes.fromhex(self.key), f"{number} {digest}".encode(), hashlib.sha256)
        return f"{self.key_id}:{made.hexdigest()}"


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a trail as it was at a time."""

    number: int
    digest: str
    at: str


class Custody:
    """Keys and heads of one store's trail, in files of a folder that only the laboratory's account
    can read.
    """

    def __init__(self, folder: Path, store_id: str, store: Path):
        self.folder = folder
        self._store_id = store_id
        self._store = str(store.resolve())
        self._keys_path = folder / f"{store_id}.keys"
        self._heads_path = folder / f"{store_id}.heads"

    def keys(self) -> list[SealingKey]:
        """Oldest first; the last one seals.

        Raises:
            StoreError: they cannot be read.
        """
        return [SealingKey(**json.loads(line)) for line in self._lines(self._keys_path)]

    def new_key(self, since: int) -> SealingKey:
        """Makes a key for the entries from `since` on.

        Raises:
            StoreError: it cannot be written.
        """
        made = SealingKey(secrets.token_hex(32), since, self._store)
        self._append(self._keys_path, json.dumps(asdict(made)))
        return made

    def keep_head(self, number: int, digest: str) -> None:
        """Remembers the last entry of the trail.

        Raises:
            StoreError: it cannot be written.
        """
        self._append(
            self._heads_path,
            json.dumps(asdict(Head(number, digest, datetime.now(UTC).isoformat()))),
        )

    def heads(self) -> list[Head]:
        """Oldest first."""
        return [Head(**json.loads(line)) for line in self._lines(self._heads_path)]

    def another_trail(self) -> Path | None:
        """The keys of another audit trail that was at this path: it was replaced by the one that is
        there now.
        """
        for path in sorted(self.folder.glob("*.keys")):
            if path != self._keys_path and any(
                json.loads(line)["store"] == self._store for line in self._lines(path)
            ):
                return path
        return None

    def _lines(self, path: Path) -> list[str]:
        try:
            return path.read_text().splitlines() if path.exists() else []
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{path}: cannot be read: {error}", "check review.audit_folder"
            ) from error

    def _append(self, path: Path, line: str) -> None:
        try:
            make_private_folder(self.folder)
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
            try:
                os.write(file, f"{line}\n".encode())
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written: {error}", "check review.audit_folder"
            ) from error


def key_for(keys: Sequence[SealingKey], number: int) -> SealingKey | None:
    """The key that an entry must be sealed with; None for one from before there was a key."""
    return next((key for key in reversed(keys) if key.since <= number), None)


def custody_folder(configured: str) -> Path:
    """Where keys and heads lie: as configured, else with the state files of the account that runs
    the program.
    """
    return (
        Path(configured).expanduser()
        if configured
        else Path.home() / ".local" / "state" / "cytostream" / "audit"
    )
