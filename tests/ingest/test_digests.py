"""The ids of slides, held to hashlib: stores of every version have them."""

import hashlib
import os
from pathlib import Path

import pytest

from ingest import IncompleteSlideError, SlideAwayError, SlideError, slide_files
from ingest.slide_files import (
    check_dicom_folder,
    check_files,
    content_id,
    file_digest,
    file_state,
    sample_digest,
    series_at,
)


def digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=10).hexdigest()


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.svs" for name in "abc"]
    for number, path in enumerate(paths):
        path.write_bytes(bytes(range(256)) * 5 + bytes([number]))
    return paths


def test_a_file_is_its_digest_and_several_are_that_of_their_digests(three, monkeypatch):
    data = [path.read_bytes() for path in three]
    assert content_id(three[:1]) == file_digest(three[0]) == digest(data[0])
    assert content_id(three) == digest("".join(map(digest, data)).encode())
    assert content_id(three[::-1]) != content_id(three)
    assert content_id([three[0], three[0].with_name("none")]) == digest(data[0])
    monkeypatch.setattr(slide_files, "BLOCK_BYTES", 100)
    assert file_digest(three[1]) == digest(data[1])
    monkeypatch.setattr(slide_files, "series_at", lambda path: "1.2.3")
    assert (
        content_id(three[::-1])
        == content_id(three)
        == (digest("".join(sorted(map(digest, data))).encode()))
    )


def test_nothing_has_no_id(tmp_path):
    with pytest.raises(FileNotFoundError) as gone:
        content_id([tmp_path / "a.svs", tmp_path / "b.svs"])
    assert gone.value.filename == str(tmp_path / "a.svs")


@pytest.mark.parametrize(
    ("after_s", "kept"), [(0.0, False), (1.9, False), (2.1, True), (-1.9, False), (-2.1, True)]
)
def test_a_digest_is_kept_once_the_files_have_settled(three, monkeypatch, after_s, kept):
    """The younger of change and writing counts, of all files."""
    read = []
    changed_s = max(max(path.stat().st_mtime, path.stat().st_ctime) for path in three)
    os.utime(three[0], (1, 1))
    changed_s = max(changed_s, three[0].stat().st_ctime)
    slide_files._kept_content_id.cache_clear()
    monkeypatch.setattr(slide_files, "time", lambda: changed_s + after_s)
    monkeypatch.setattr(slide_files, "file_digest", lambda path: read.append(path) or "d")
    for _ in range(2):
        content_id(three)
    assert len(read) == (3 if kept else 6)


def test_a_state_is_of_names_sizes_and_times(three):
    facts = [(path.name, path.stat()) for path in three]
    lines = sorted((n, f.st_size, f.st_mtime_ns, f.st_ctime_ns) for n, f in facts)
    quoted = [(ascii(name), *rest) for name, *rest in lines]
    assert file_state(three) == file_state(three[::-1]) == digest(repr(quoted).encode())


def test_samples_are_spread_over_each_file(three, monkeypatch):
    monkeypatch.setattr(slide_files, "SAMPLE_BYTES", 10)
    monkeypatch.setattr(slide_files, "_SAMPLES", 4)
    monkeypatch.setattr(slide_files, "files_of", lambda path: [*three[1::-1], path.parent])
    expected = b""
    for path in three[:2]:
        data = path.read_bytes()
        expected += b"1281 " + b"".join(data[at : at + 10] for at in (0, 423, 847, 1271))
    assert sample_digest(three[0]) == digest(expected)
    three[2].write_bytes(b"short")
    monkeypatch.setattr(slide_files, "files_of", lambda path: [three[2]])
    assert sample_digest(three[2]) == digest(b"5 " + b"short" * 4)


@pytest.mark.parametrize(
    ("name", "asked"),
    [("a.dcm", True), ("a", True), ("1.2.840.5", True), ("a.svs", False), ("a.5b", False)],
)
def test_which_files_may_be_of_dicom(tmp_path, monkeypatch, name, asked):
    seen = []
    monkeypatch.setattr(slide_files, "_series_at", lambda path, *_: seen.append(path) or "1.2")
    (tmp_path / name).write_bytes(b"x")
    assert series_at(tmp_path / name) == ("1.2" if asked else None)
    assert seen == ([tmp_path / name] if asked else [])
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert [series_at(tmp_path / other) for other in ("folder", "pipe", "none")] == [None] * 3


def said(check, *about) -> str:
    with pytest.raises(SlideError) as refused:
        check(*about)
    return f"{type(refused.value).__name__} {refused.value}"


def test_what_is_said_of_files_that_are_not_as_they_should_be(tmp_path, monkeypatch):
    slide, part = tmp_path / "a.vms", tmp_path / "b.jpg"
    assert said(check_files, slide, [slide]) == (
        f"{SlideAwayError.__name__} {slide}: no such file (check the path)"
    )
    slide.write_bytes(b"x")
    assert said(check_files, slide, [slide, part]) == (
        f"{IncompleteSlideError.__name__} {slide}: its part b.jpg is missing (copy the whole "
        "slide, with all its files)"
    )
    for outside in (tmp_path.parent / "x.jpg", tmp_path / ".." / "x.jpg"):
        assert said(check_files, slide, [slide, outside]) == (
            f"SlideError {slide}: names a file outside of its folder: x.jpg (export it anew)"
        )
    part.mkdir()
    assert said(check_files, slide, [slide, part]) == (
        f"SlideError {slide}: b.jpg is no plain file (remove it, or name a slide)"
    )
    (part / "inner").mkdir()
    check_files(slide, [slide, part / "inner"])
    mrxs = tmp_path / "m.mrxs"
    mrxs.write_bytes(b"x")
    assert said(check_files, mrxs, [mrxs]) == (
        f"IncompleteSlideError {mrxs}: its folder m is missing, or has no Slidedat.ini (copy the "
        "whole slide, with its folder)"
    )
    os.mkfifo(tmp_path / "pipe")
    assert said(check_dicom_folder, slide) == (
        f"SlideError {slide}: pipe beside it is no plain file (remove it)"
    )
    asked = []
    monkeypatch.setattr(slide_files, "series_at", lambda path: path == slide)
    monkeypatch.setattr(slide_files, "check_dicom_folder", asked.append)
    check_files(slide, [slide])
    assert asked == [slide]
