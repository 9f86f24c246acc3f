"""Which files of a folder are slides, which are pictures beside one, and which are passed by."""

import os
from pathlib import Path

import pytest

from ingest import (
    FolderLook,
    ScannerConventions,
    look_at_folder,
    slide_at,
    slides_beside,
    slides_in,
)
from ingest.folder_look import is_slide_name, matches, set_id, side_pictures, size_of
from ingest.folder_watch import Watcher, markers


def folder_of(root: Path, names: str) -> Path:
    for name in names.split():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def seen(look: FolderLook, root: Path) -> str:
    return " ".join(slide.path.relative_to(root).as_posix() for slide in look.slides)


@pytest.mark.parametrize(
    ("names", "slides"),
    [
        ("b.svs a.ndpi c.txt d.SCN", "a.ndpi b.svs d.SCN"),
        (".a.svs ~b.svs c.svs.tmp d.svs.part e.svs", "e.svs"),
        ("a.png b.JPG c.tif d.bmp", "a.png b.JPG c.tif"),
        ("b/x.svs a/y.svs z.svs a/deep/w.svs", "z.svs a/y.svs a/deep/w.svs b/x.svs"),
        ("quarantine/x.svs a/quarantine/y.svs quarantined/z.svs", "quarantined/z.svs"),
        ("store/state.db store/x.png other/state.url other/y.png y.png", "y.png"),
        ("m.mrxs m/Slidedat.ini m/Data.dat m/x.png", "m.mrxs"),
        ("m/Slidedat.ini m/x.png m/deep/y.png", ""),
        ("m.mrxs m/x.png n/y.png", "m.mrxs n/y.png"),
        (
            "c.fields/1.png c.fields/2.png c.fields/a.svs",
            "c.fields/1.png c.fields/2.png c.fields/a.svs",
        ),
        ("a.svs a.png a_label.png a-macro.jpg", "a.svs"),
        ("a.svs label.png thumbnail.jpg b.png", "a.svs b.png"),
        ("a.png a_label.png", "a.png"),
        ("label.png macro.png", "label.png macro.png"),
        ("a.svs b_label.png", "a.svs b_label.png"),
        ("a.png b_thumb.png", "a.png b_thumb.png"),
    ],
)
def test_the_slides_of_a_folder(tmp_path: Path, names: str, slides: str) -> None:
    folder_of(tmp_path, names)
    look = look_at_folder(tmp_path)
    assert seen(look, tmp_path) == slides
    assert not look.unseen and not look.refused
    assert [one.path for one in slides_in(tmp_path)] == [one.path for one in look.slides]


@pytest.mark.parametrize(
    ("names", "owners"),
    [
        ("a.svs a.png", {"a.png": "a.svs"}),
        ("a.svs A_Label.PNG", {"A_Label.PNG": "a.svs"}),
        ("a.svs a.svs.png", {"a.svs.png": "a.svs"}),
        ("a.svs a.macro_.jpg", {"a.macro_.jpg": "a.svs"}),
        ("a.svs b.ndpi overview.tif", {"overview.tif": "a.svs"}),
        ("a.svs map.txt snapshot.jpg", {"snapshot.jpg": "a.svs"}),
        ("a.png a-preview.png", {"a-preview.png": "a.png"}),
        ("barcode.png", {}),
    ],
)
def test_pictures_beside_slides(names: str, owners: dict[str, str]) -> None:
    found = side_pictures([Path(name) for name in names.split()])
    assert {path.name: owner for path, owner in found.items()} == owners


def test_links_conventions_and_neighbours(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "in", "a.svs deep/b.svs keep/c.svs skip.svs")
    outside = folder_of(tmp_path / "out", "d.svs e.txt sub/f.svs")
    (root / "d-link.svs").symlink_to(outside / "d.svs")
    (root / "again.svs").symlink_to(root / "a.svs")
    (root / "text.svs").symlink_to(outside / "none")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "quarantine").symlink_to(outside / "sub")
    plain = look_at_folder(root)
    assert seen(plain, root) == "a.svs skip.svs deep/b.svs keep/c.svs"
    followed = look_at_folder(root, follow_links=True)
    expected = "a.svs skip.svs deep/b.svs keep/c.svs folder/d.svs folder/sub/f.svs"
    assert seen(followed, root) == expected
    custom = ScannerConventions(ignore=("skip*",), leave=("deep",), store=root / "keep")
    assert seen(look_at_folder(root, custom), root) == "a.svs"
    found = slide_at(root / "a.svs")
    assert found is not None and found.path == root / "a.svs"
    assert slide_at(root / "none.svs") is None
    assert [one.path.name for one in slides_beside(found)] == ["skip.svs"]
    gone = look_at_folder(tmp_path / "gone")
    assert gone.slides == [] and gone.unseen == {tmp_path / "gone": os.strerror(2)}


def test_a_link_to_a_single_slide_is_followed_once(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "in", "a.svs")
    outside = folder_of(tmp_path / "out", "d.svs")
    for name in ("later.svs", "first.svs"):
        (root / name).symlink_to(outside / "d.svs")
    assert seen(look_at_folder(root, follow_links=True), root) == "a.svs first.svs"
    assert seen(look_at_folder(root), root) == "a.svs"


def test_names_and_sets(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.svs b.txt case.fields/1.png")
    assert is_slide_name(tmp_path / "a.svs") and not is_slide_name(tmp_path / "b.txt")
    assert [matches("a.tmp", patterns) for patterns in ((), ("*.tmp",), ("b*", "a*"), ("b*",))] == [
        False,
        True,
        True,
        False,
    ]
    assert size_of(tmp_path / "a.svs") == 1 and size_of(tmp_path / "none") == 0
    (field,) = slides_in(tmp_path / "case.fields")
    assert field.set_id == set_id(tmp_path / "case.fields") != set_id(tmp_path)
    assert len(field.set_id) == 20 and "case" not in field.set_id
    beside = [path.name for path in markers(slides_in(tmp_path)[0], ".done")]
    assert beside == ["a.svs.done", "a.done"]
    assert [path.name for path in markers(field, ".ok")] == ["1.png.ok", "1.ok", ".ok"]
    assert markers(field, ".ok")[2].parent == field.path.parent


@pytest.mark.parametrize(
    ("still", "marker", "need", "empty", "looks"),
    [
        (2, False, False, False, 3),
        (1, False, False, False, 2),
        (0, False, False, False, 1),
        (3, True, False, False, 1),
        (3, True, True, False, 1),
        (1, False, True, False, None),
        (1, False, False, True, 6),
        (2, False, False, True, 11),
        (1, True, False, True, 6),
        (1, True, True, True, None),
    ],
)
def test_after_how_many_looks_a_slide_arrives(
    tmp_path: Path, still: int, marker: bool, need: bool, empty: bool, looks: int | None
) -> None:
    """One that is empty, or lacks a part, is waited for five times as long."""
    path = tmp_path / "a.svs"
    path.write_bytes(b"" if empty else b"x")
    if marker:
        (tmp_path / "a.done").touch()
    watcher = Watcher(tmp_path, ScannerConventions(still_looks=still, need_marker=need))
    arrived = [len(watcher.look()) for _ in range(13)]
    assert arrived == [int(look + 1 == looks) for look in range(13)]
    assert watcher.growing() == (looks is None)
    watcher.forget(path)
    assert watcher.growing() == 0


def test_a_change_arrives_again_and_a_new_name_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    path.write_bytes(b"x")
    watcher = Watcher(tmp_path, ScannerConventions(still_looks=1))
    assert [len(watcher.look()) for _ in range(3)] == [0, 1, 0]
    path.write_bytes(b"xy")
    assert [len(watcher.look()) for _ in range(3)] == [0, 1, 0]
    path.rename(tmp_path / "b.svs")
    (arrival,) = watcher.look()
    assert (arrival.found.path.name, arrival.was) == ("b.svs", path)
    assert watcher.look() == [] and watcher.growing() == 0
    (tmp_path / "b.svs").unlink()
    assert watcher.look() == [], "an empty folder is a share that is not mounted"
    (tmp_path / "c.svs").write_bytes(b"xyz")
    assert [[one.was for one in watcher.look()] for _ in range(2)] == [[], [None]]
