"""What a backup holds: a manifest a run, and the content of files, each once, by its digest.

BACKUP/manifests/2026-11-27T190000Z.json    path, size, SHA-256 of every file of the store
BACKUP/objects/3f/3fa9...                   the content of each
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from ingest import StoreError
from stream.store import make_private_folder, write_private_file

_BLOCK_BYTES = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of the store: its path below it, its content's size and SHA-256, and the time in ns
    when it was changed last.
    """

    path: str
    size_bytes: int
    sha256: str
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a store at one time; `store` is the random id of its outbox."""

    made: str
    store: str
    files: tuple[KeptFile, ...]

    def write(self, backup: Path) -> Path:
        """Writes it below a backup, whole or not at all."""
        name = self.made.replace(":", "").replace("+0000", "Z")
        path = backup / "manifests" / f"{name}.json"
        text = json.dumps({"format": _FORMAT, **asdict(self)}, indent=1)
        beside = path.with_suffix(".new")
        write_private_file(beside, text.encode())
        beside.replace(path)
        return path


def manifests(backup: Path) -> list[Path]:
    """The manifests of a backup, oldest first."""
    return sorted((backup / "manifests").glob("*.json"))


def read_manifest(path: Path) -> Manifest:
    """A manifest whose paths stay below the store.

    Raises:
        StoreError: it is none.
    """
    try:
        said = json.loads(path.read_text())
        if said.pop("format") != _FORMAT:
            raise ValueError("of another version")
        files = tuple(KeptFile(**one) for one in said.pop("files"))
        for one in files:
            _check(one)
        return Manifest(files=files, **said)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"{path}: no manifest: {error}", "name another one with --at") from error


def _check(one: KeptFile) -> None:
    path = PurePosixPath(one.path)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in one.path:
        raise ValueError("a path that leads out of the store")
    if not _DIGEST.fullmatch(one.sha256):
        raise ValueError("a digest that is none")


def object_path(backup: Path, sha256: str) -> Path:
    """Where a backup keeps the content of this digest."""
    return backup / "objects" / sha256[:2] / sha256


def blocks_of(path: Path) -> Iterator[bytes]:
    """The content of a file, a block at a time."""
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def digest_of_file(path: Path) -> str:
    """The SHA-256 of a file's content."""
    digest = hashlib.sha256()
    for block in blocks_of(path):
        digest.update(block)
    return digest.hexdigest()


def copy_whole(source: Path, target: Path) -> str:
    """Copies a file, whole or not at all, for its owner alone; the SHA-256 of what was copied."""
    make_private_folder(target.parent)
    beside = target.with_name(f"{target.name}.{os.getpid()}.new")
    digest = hashlib.sha256()
    try:
        with os.fdopen(os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as out:
            for block in blocks_of(source):
                digest.update(block)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return digest.hexdigest()
