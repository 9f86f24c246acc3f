"""The files of a backup one by one: what is copied, what is known already, what is refused, and how
a store is put together again.
"""

import fcntl
import hashlib
import json
import stat
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from ingest import StoreError
from stream.keeping import back_up, restore
from stream.keeping.manifest import (
    KeptFile,
    Manifest,
    copy_whole,
    digest_of_file,
    manifests,
    object_path,
    read_manifest,
)
from tests.approved import approved
from tests.recorded import Named, Recorded

restoring = import_module("stream.keeping.restore")
backup = import_module("stream.keeping.backup")
TEXT = b"content"
DIGEST = hashlib.sha256(TEXT).hexdigest()
KEPT = KeptFile("s1.zarr/0", len(TEXT), DIGEST, 5)
MANIFEST = Manifest("2026-01-02T03:04:05.000+00:00", "store-1", (KEPT,))


def refused(call, *given):
    with pytest.raises(StoreError) as told:
        call(*given)
    return f"{told.value.what} -> {told.value.hint}"


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    path = MANIFEST.write(tmp_path)
    assert path == tmp_path / "manifests" / "2026-01-02T030405.000Z.json"
    assert read_manifest(path) == MANIFEST and manifests(tmp_path) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    later = Manifest("2026-01-03T00:00:00.000+00:00", "store-1", ()).write(tmp_path)
    assert manifests(tmp_path) == [path, later]
    said = json.loads(path.read_text())
    assert said["format"] == 1 and path.read_text().startswith('{\n "format": 1')
    lines = []
    for name, changed in {
        "another version": {"format": 2},
        "no version": {"format": None},
        "a path up": {"files": [{**said["files"][0], "path": "a/../../b"}]},
        "a whole path": {"files": [{**said["files"][0], "path": "/etc/passwd"}]},
        "no path": {"files": [{**said["files"][0], "path": ""}]},
        "a path with a zero": {"files": [{**said["files"][0], "path": "a\0b"}]},
        "no digest": {"files": [{**said["files"][0], "sha256": "x" * 64}]},
        "a long digest": {"files": [{**said["files"][0], "sha256": "a" * 65}]},
        "a field too many": {"files": [{**said["files"][0], "x": 1}]},
        "no files": {"files": None},
    }.items():
        path.write_text(json.dumps({**said, **changed}))
        lines.append(f"{name}: {refused(read_manifest, path)}")
    path.write_text("[]")
    lines += [refused(read_manifest, path), refused(read_manifest, tmp_path / "none.json")]
    approved(__file__, "manifests", "\n".join(lines), folder=tmp_path)


def test_a_file_is_copied_whole_for_its_owner_alone(tmp_path, monkeypatch):
    source, target = tmp_path / "a", tmp_path / "new" / "b"
    source.write_bytes(TEXT * 300_000)
    digest = hashlib.sha256(TEXT * 300_000).hexdigest()
    synced = []
    monkeypatch.setattr("stream.keeping.manifest.os.fsync", synced.append)
    assert copy_whole(source, target) == digest == digest_of_file(target)
    assert len(synced) == 1 and stat.S_IMODE(target.stat().st_mode) == 0o600
    assert stat.S_IMODE(target.parent.stat().st_mode) == 0o700
    assert [path.name for path in target.parent.iterdir()] == ["b"]

    def full(_):
        raise OSError(28, "No space left")

    monkeypatch.setattr("stream.keeping.manifest.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        copy_whole(source, tmp_path / "new" / "c")
    assert [path.name for path in target.parent.iterdir()] == ["b"]
    assert object_path(Path("b"), DIGEST) == Path("b/objects") / DIGEST[:2] / DIGEST


def test_what_is_kept_is_not_copied_again(tmp_path, monkeypatch):
    recorded = Recorded(monkeypatch)
    own, source = tmp_path / "backup", tmp_path / "a"
    source.write_bytes(TEXT)
    facts = source.stat()
    one = KeptFile("a", len(TEXT), DIGEST, facts.st_mtime_ns)
    assert backup._keep(source, "a", own, {}) == (one, len(TEXT))
    recorded.put(backup, "digest_of_file", DIGEST)
    assert backup._keep(source, "a", own, {"a": one}) == (one, 0)
    assert not recorded.lines
    for known in (
        KeptFile("a", len(TEXT) + 1, "0" * 64, facts.st_mtime_ns),
        KeptFile("a", len(TEXT), "0" * 64, facts.st_mtime_ns + 1),
    ):
        assert backup._keep(source, "a", own, {"a": known}) == (one, 0)
    assert len(recorded.lines) == 2
    object_path(own, DIGEST).write_bytes(b"half")
    assert backup._keep(source, "a", own, {"a": one}) == (one, len(TEXT))
    assert backup._keep(tmp_path / "gone", "a", own, {}) == (None, 0)
    recorded.put(backup, "digest_of_file", "f" * 64)  # it is put anew while it is read
    assert backup._keep(source, "a", own, {}) == (one, len(TEXT))
    assert not object_path(own, "f" * 64).exists()


def test_an_object_of_a_bucket_is_fetched_where_it_is_new(tmp_path, monkeypatch):
    own, beside = tmp_path / "backup", tmp_path / "object"
    one = SimpleNamespace(path="s1.zarr/0", size_bytes=len(TEXT), changed_ns=5)
    fetched = []

    def fetch(store, wanted, target):
        fetched.append((store, wanted.path))
        target.write_bytes(TEXT)

    monkeypatch.setattr(backup, "fetch_object", fetch)
    kept, copied = backup._keep_object(Path("st"), one, beside, own, {})
    assert (kept.path, kept.sha256, copied) == ("s1.zarr/0", DIGEST, len(TEXT))
    known = {one.path: KEPT}
    assert backup._keep_object(Path("st"), one, beside, own, known) == (KEPT, 0)
    assert fetched == [(Path("st"), "s1.zarr/0")]
    for name, value in (("size_bytes", 1), ("changed_ns", 6)):
        other = SimpleNamespace(**{**vars(one), name: value})
        assert backup._keep_object(Path("st"), other, beside, own, known)[1] == 0
    assert len(fetched) == 3
    object_path(own, DIGEST).write_bytes(b"half")
    assert backup._keep_object(Path("st"), one, beside, own, known)[1] == len(TEXT)

    def gone(*_):
        raise FileNotFoundError

    monkeypatch.setattr(backup, "fetch_object", gone)
    assert backup._keep_object(Path("st"), one, beside, own, {}) == (None, 0)


def test_files_of_a_store_in_a_fixed_order(tmp_path):
    names = "b/2", "b/1", "a/z", "x", "state.db", "state.db-wal", "serve.lock", "y.new", "c.db"
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "link").symlink_to(tmp_path / "x")
    found = [name for _, name in backup._others(tmp_path)]
    assert found == ["x", "a/z", "b/1", "b/2"]


def test_a_backup_that_cannot_be_made(tmp_path, monkeypatch):
    store, own = tmp_path / "store", tmp_path / "kept"
    lines = [refused(back_up, store, own)]
    monkeypatch.setattr(backup, "has_state", lambda store: True)
    lines += [refused(back_up, store, store / "kept"), refused(back_up, store, store)]
    own.mkdir()
    with (own / "backup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines.append(refused(back_up, store, own))
    (tmp_path / "file").touch()
    lines.append(refused(back_up, store, tmp_path / "file" / "kept"))
    approved(__file__, "refused_backups", "\n".join(lines), folder=tmp_path)


def test_a_backup_whole(tmp_path, monkeypatch):
    store, own = tmp_path / "store", tmp_path / "kept"
    store.mkdir()
    (store / "note").write_bytes(TEXT)
    for name in ("snapshot-1", "objects/ab"):
        (own / name).mkdir(parents=True)
    for name in ("objects/x.new", "objects/ab/y.new"):
        (own / name).touch()
    monkeypatch.setattr(backup, "has_state", lambda store: True)
    monkeypatch.setattr(backup, "server_of", lambda store: None)
    (store / "state.db").touch()
    monkeypatch.setattr(backup, "snapshot", lambda of, to: to.write_bytes(b"a snapshot"))
    one = SimpleNamespace(path="s1.zarr/0", size_bytes=3, changed_ns=5)
    monkeypatch.setattr(backup, "bucket_objects", lambda store: [one])
    monkeypatch.setattr(backup, "fetch_object", lambda store, one, to: to.write_bytes(b"xyz"))
    recorded = Recorded(monkeypatch)
    recorded.context(backup, "Outbox", Named("outbox", store_id="store-1"))
    named = []
    found = back_up(store, own, named.append)
    assert named == ["state.db", "note", "s1.zarr/0"] and found.files == 3
    assert found.new_bytes == len("a snapshot") + len(TEXT) + 3
    kept = read_manifest(found.manifest)
    assert kept.store == "store-1" and [one.path for one in kept.files] == named
    assert recorded.lines[0] == f"Outbox({store}/state.db, unwritable='read')"
    assert back_up(store, own).new_bytes == 0
    left = [
        path for path in own.rglob("*") if path.name.startswith("snapshot") or ".new" in path.name
    ]
    assert left == []


def test_a_store_is_put_together_again(tmp_path, monkeypatch):
    own, store = tmp_path / "kept", tmp_path / "again"
    lines = [refused(restore, own, store)]
    database = KeptFile("state.db", len(TEXT), DIGEST, 5)
    Manifest(MANIFEST.made, "store-1", (database, KEPT)).write(own)
    lines += [refused(restore, own, store, "2027"), refused(restoring.check_backup, own)]
    target = object_path(own, DIGEST)
    target.parent.mkdir(parents=True)
    target.write_bytes(b"damaged")
    lines += [refused(restoring.check_backup, own), refused(restore, own, store)]
    assert sorted(path.name for path in store.rglob("*")) == ["restoring.new", "s1.zarr"]
    target.write_bytes(TEXT)
    assert restoring.check_backup(own).files == 2
    forgotten, named = [], []
    monkeypatch.setattr(restoring, "forget_restored_leases", forgotten.append)
    found = restore(own, store, "2026", named.append)
    assert (found.made, found.files) == (MANIFEST.made, 2)
    assert named == ["s1.zarr/0", "state.db"] and forgotten == [store / "state.db"]
    assert (store / "s1.zarr" / "0").read_bytes() == TEXT
    assert not (store / restoring.UNDER_WAY).exists()
    lines.append(refused(restore, own, store))
    other = tmp_path / "other"
    other.mkdir()
    (other / restoring.UNDER_WAY).write_text("of another backup")
    lines.append(refused(restore, own, other))
    (tmp_path / "file").touch()
    lines.append(refused(restore, own, tmp_path / "file" / "x"))
    approved(__file__, "restored", "\n".join(lines), folder=tmp_path)
