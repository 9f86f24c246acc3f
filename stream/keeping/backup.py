"""A backup of a store, also while runs and the page write to it.

The databases come first, each as it is at one moment, reviews before results: what a signature is
for is there. Those of a server are kept as files, so that what is restored is a store of files. The
folders of slides come after them: whatever a database calls stored is in them already, and what is
newer is written again by whoever goes on with the copy. Results in a bucket are kept as folders,
too.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from ingest import StoreError
from stream.store import SERVER_FILE, Outbox, has_state, make_private_folder, server_of
from stream.store.places import RESULTS_FILE, BucketObject, bucket_objects, fetch_object
from stream.store.upkeep import snapshot

from .manifest import (
    KeptFile,
    Manifest,
    copy_whole,
    digest_of_file,
    manifests,
    object_path,
    read_manifest,
)

DATABASES = ("reviews.db", "access.db", "state.db")  # in this order
_LEFT_OUT = (SERVER_FILE, RESULTS_FILE, ".db", ".db-wal", ".db-shm", ".db-journal", ".lock", ".new")


@dataclass(frozen=True, slots=True)
class BackupResult:
    """What was kept: its manifest, files, and bytes that were not in the backup before."""

    manifest: Path
    files: int
    new_bytes: int


def back_up(
    store: Path, backup: Path, on_file: Callable[[str], None] = lambda _: None
) -> BackupResult:
    """Keeps a store as it is now. What an earlier backup in the same folder has is not copied
    again, so that an interrupted one goes on.

    Raises:
        StoreError: there is no store, or the backup cannot be written or lies within it.
    """
    if not has_state(store):
        raise StoreError(f"{store}: no store here", "name it with --store")
    if backup.resolve().is_relative_to(store.resolve()):
        raise StoreError(f"{backup}: within the store", "choose a folder on another disk")
    try:
        make_private_folder(backup)
        return _locked(store, backup, on_file)
    except OSError as error:
        raise StoreError(
            f"{backup}: cannot be written: {error.strerror}", "free some space; it then goes on"
        ) from error


def _locked(store: Path, backup: Path, on_file: Callable[[str], None]) -> BackupResult:
    """One process at a time writes to a backup; what a killed one left half written goes."""
    with (backup / "backup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"{backup}: another backup writes to it", "wait for it") from error
        for rest in [
            *backup.glob("snapshot-*"),
            *backup.glob("*/*.new"),
            *backup.glob("*/*/*.new"),
        ]:
            shutil.rmtree(rest) if rest.is_dir() else rest.unlink()
        before = _known(backup)
        files = []
        new_bytes = 0
        with TemporaryDirectory(dir=backup, prefix="snapshot-") as folder:
            for path, name in [*_databases(store, Path(folder)), *_others(store)]:
                on_file(name)
                kept, copied = _keep(path, name, backup, before)
                files += [kept] if kept else []
                new_bytes += copied
            for one in bucket_objects(store):
                on_file(one.path)
                kept, copied = _keep_object(store, one, Path(folder) / "object", backup, before)
                files += [kept] if kept else []
                new_bytes += copied
        with Outbox(store / "state.db", unwritable="read") as outbox:
            store_id = outbox.store_id
        made = datetime.now(UTC).isoformat(timespec="milliseconds")
        written = Manifest(made, store_id, tuple(files)).write(backup)
    return BackupResult(written, len(files), new_bytes)


def _databases(store: Path, folder: Path) -> Iterator[tuple[Path, str]]:
    """A snapshot of each database, made when it is asked for."""
    for name in DATABASES:
        if (store / name).is_file() or server_of(store):
            snapshot(store / name, folder / name)
            yield folder / name, name


def _others(store: Path) -> Iterator[tuple[Path, str]]:
    """All other files, in a fixed order; a link is left out, since it leads elsewhere."""
    for folder, folders, names in os.walk(store):
        folders.sort()
        for name in sorted(names):
            path = Path(folder) / name
            if not path.is_symlink() and path.is_file() and not name.endswith(_LEFT_OUT):
                yield path, path.relative_to(store).as_posix()


def _known(backup: Path) -> dict[str, KeptFile]:
    """The files of the last backup, by path."""
    last = manifests(backup)[-1:]
    return {one.path: one for path in last for one in read_manifest(path).files}


def _keep_object(
    store: Path, one: BucketObject, beside: Path, backup: Path, before: dict[str, KeptFile]
) -> tuple[KeptFile | None, int]:
    """As `_keep`, of an object in a bucket; one that is as the last backup has it is not
    fetched.
    """
    known = before.get(one.path)
    if known and (known.size_bytes, known.changed_ns) == (one.size_bytes, one.changed_ns):
        held = object_path(backup, known.sha256)
        if held.is_file() and held.stat().st_size == one.size_bytes:
            return known, 0
    try:
        fetch_object(store, one, beside)
    except FileNotFoundError:
        return None, 0
    return _keep(beside, one.path, backup, {})


def _keep(
    path: Path, name: str, backup: Path, before: dict[str, KeptFile]
) -> tuple[KeptFile | None, int]:
    """The file as the manifest has it, and how many bytes of it are new; None where it is gone
    meanwhile.
    """
    try:
        facts = path.stat()
        known = before.get(name)
        if known and (known.size_bytes, known.changed_ns) == (facts.st_size, facts.st_mtime_ns):
            digest = known.sha256
        else:
            digest = digest_of_file(path)
        target = object_path(backup, digest)
        copied = 0
        if not (target.is_file() and target.stat().st_size == facts.st_size):
            digest = copy_whole(path, target)
            if object_path(backup, digest) != target:  # it was put anew while it was read
                target.replace(_placed(backup, digest))
            copied = object_path(backup, digest).stat().st_size
    except FileNotFoundError:
        return None, 0
    size = object_path(backup, digest).stat().st_size
    return KeptFile(name, size, digest, facts.st_mtime_ns), copied


def _placed(backup: Path, digest: str) -> Path:
    path = object_path(backup, digest)
    make_private_folder(path.parent)
    return path
