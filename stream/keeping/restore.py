"""A store out of a backup: each file compared with its digest, the databases last, so that a half
restored folder is no store.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ingest import StoreError
from stream.store import make_private_folder, write_private_file
from stream.store.upkeep import forget_restored_leases

from .backup import DATABASES
from .manifest import (
    KeptFile,
    Manifest,
    copy_whole,
    digest_of_file,
    manifests,
    object_path,
    read_manifest,
)

UNDER_WAY = "restoring.new"


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """Which backup was restored, and how many files."""

    made: str
    files: int


def restore(
    backup: Path, store: Path, at: str = "", on_file: Callable[[str], None] = lambda _: None
) -> RestoreResult:
    """Makes a store as it was; `at` is the beginning of a manifest's name, the last one without.
    The same command goes on where it was interrupted.

    Raises:
        StoreError: there is no such backup, it is damaged, or the folder holds something else.
    """
    manifest = chosen_manifest(backup, at)
    try:
        _begin(store, manifest)
        ordered = sorted(manifest.files, key=lambda one: one.path in DATABASES)
        for one in ordered:
            on_file(one.path)
            _put(backup, store / one.path, one)
        forget_restored_leases(store / "state.db")
        (store / UNDER_WAY).unlink()
    except OSError as error:
        raise StoreError(
            f"{store}: cannot be written: {error.strerror}", "free some space; it then goes on"
        ) from error
    return RestoreResult(manifest.made, len(manifest.files))


def check_backup(backup: Path, at: str = "") -> RestoreResult:
    """Compares every file of a backup with its digest.

    Raises:
        StoreError: one is missing or damaged.
    """
    manifest = chosen_manifest(backup, at)
    for one in manifest.files:
        path = object_path(backup, one.sha256)
        if not path.is_file() or digest_of_file(path) != one.sha256:
            raise _damaged(backup, one)
    return RestoreResult(manifest.made, len(manifest.files))


def chosen_manifest(backup: Path, at: str) -> Manifest:
    """The last manifest whose name begins so.

    Raises:
        StoreError: there is none.
    """
    found = [path for path in manifests(backup) if path.name.startswith(at)]
    if not found:
        names = ", ".join(path.stem for path in manifests(backup)[-5:]) or "none"
        raise StoreError(f"{backup}: no backup {at}".rstrip(), f"there are: {names}")
    return read_manifest(found[-1])


def _begin(store: Path, manifest: Manifest) -> None:
    make_private_folder(store)
    mark = store / UNDER_WAY
    if any(store.iterdir()) and not (mark.is_file() and mark.read_text() == manifest.made):
        raise StoreError(f"{store}: not empty", "restore into a new folder")
    write_private_file(mark, manifest.made.encode())


def _put(backup: Path, target: Path, one: KeptFile) -> None:
    """The file at its place; one that an interrupted restore has put there stays."""
    if target.is_file() and digest_of_file(target) == one.sha256:
        return
    path = object_path(backup, one.sha256)
    if not path.is_file() or copy_whole(path, target) != one.sha256:
        target.unlink(missing_ok=True)
        raise _damaged(backup, one)


def _damaged(backup: Path, one: KeptFile) -> StoreError:
    return StoreError(
        f"{backup}: the content of {one.path} is missing or damaged",
        "take another copy of the backup, or an earlier one with --at",
    )
