"""What belongs to a slide: its files, its id, and the pictures beside it."""

import os
import shutil
import struct

import pytest

from ingest import (
    DamagedSlideError,
    IncompleteSlideError,
    SlideAwayError,
    SlideError,
    content_id,
    files_of,
    look_at_folder,
    open_slide,
    sample_digest,
    slide_at,
)


def write(path, data=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def vms(folder, pixels=b"pixels", stem="s"):
    lines = [f"ImageFile={stem}(0,0).jpg", f"MapFile={stem}_map.jpg", "OptimisationFile=s.opt"]
    for name in (f"{stem}(0,0).jpg", f"{stem}_map.jpg"):
        write(folder / name, pixels)
    text = "\n".join(["[Virtual Microscope Specimen]", *lines])
    return write(folder / f"{stem}.vms", text.encode())


def mrxs(folder, pixels=b"pixels", stem="m"):
    write(folder / stem / "Slidedat.ini", b"[GENERAL]")
    write(folder / stem / "Data0000.dat", pixels)
    return write(folder / f"{stem}.mrxs", b"key")


def dicom(path, series, pixels=b"pixels"):
    """A DICOM header with a sequence that names another series before its own, and pixels."""

    def element(group, number, vr, value):
        value += b" " * (len(value) % 2)
        return struct.pack("<HH2sH", group, number, vr, len(value)) + value

    inner = element(0x0020, 0x000E, b"UI", b"9.9.9")
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner
    item += struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    referenced = struct.pack("<HH2sHI", 0x0008, 0x1115, b"SQ", 0, 0xFFFFFFFF) + item
    own = element(0x0020, 0x000E, b"UI", series)
    data = element(0x7FE0, 0x0010, b"UN", b"")[:4]
    return write(path, b"\0" * 128 + b"DICM" + referenced + own + data + pixels)


def id_of(path):
    return content_id(files_of(path))


def names(look):
    return [slide.path.name for slide in look.slides]


@pytest.mark.parametrize("make", [vms, mrxs])
def test_the_id_is_of_all_parts_and_not_of_their_names(tmp_path, make):
    first = id_of(make(tmp_path / "one"))
    assert id_of(make(tmp_path / "two", b"other pixels")) != first
    assert id_of(make(tmp_path / "three")) == first
    assert sample_digest(tmp_path / "one" / make(tmp_path / "one").name) == sample_digest(
        make(tmp_path / "four")
    )


def test_a_mrxs_slide_under_another_name_is_the_same(tmp_path):
    assert id_of(mrxs(tmp_path / "a", stem="m")) == id_of(mrxs(tmp_path / "b", stem="n"))


def test_each_dicom_series_of_a_folder_is_a_slide(tmp_path):
    dicom(tmp_path / "0.dcm", b"1.2.3", b"largest of them")
    dicom(tmp_path / "1.dcm", b"1.2.3")
    dicom(tmp_path / "2.dcm", b"1.2.4", b"other")
    look = look_at_folder(tmp_path)
    assert [[part.name for part in slide.parts] for slide in look.slides] == [
        ["0.dcm", "1.dcm"],
        ["2.dcm"],
    ]
    assert id_of(tmp_path / "0.dcm") == id_of(tmp_path / "1.dcm") != id_of(tmp_path / "2.dcm")


def test_parts_and_pictures_beside_a_slide_are_no_slides(tmp_path):
    vms(tmp_path)
    mrxs(tmp_path)
    write(tmp_path / "Z.svs")
    beside = ["Z_label.jpg", "Z-macro.png", "Z.jpg", "Z.svs.jpg", "label.jpg", "overview.tif"]
    for name in [*beside, "field_1.png", "Z2.png"]:
        write(tmp_path / name)
    look = look_at_folder(tmp_path)
    assert names(look) == ["Z.svs", "Z2.png", "field_1.png", "m.mrxs", "s.vms"]
    assert {path.name for path in look.side_pictures} == set(beside)
    assert slide_at(tmp_path / "s_map.jpg").path.name == "s.vms"
    assert slide_at(tmp_path / "label.jpg") is None


def test_fields_of_one_stem_are_slides_where_no_whole_slide_is(tmp_path):
    for name in ("a.tif", "a.png", "label.png", "map.png"):
        write(tmp_path / name)
    assert len(names(look_at_folder(tmp_path))) == 4


@pytest.mark.parametrize("missing", ["s_map.jpg", "m/Slidedat.ini"])
def test_a_part_that_is_missing_is_no_damage(tmp_path, missing):
    keys = {"s": vms(tmp_path), "m": mrxs(tmp_path)}
    (tmp_path / missing).unlink()
    with pytest.raises(IncompleteSlideError):
        open_slide(keys[missing[0]])


def test_a_slide_of_nothing_but_a_name_is_away(tmp_path):
    with pytest.raises(SlideAwayError):
        open_slide(tmp_path / "none.svs")


def test_a_part_outside_of_the_folder_is_refused(tmp_path):
    write(tmp_path / "secret.jpg")
    text = b"[Virtual Microscope Specimen]\nImageFile=../secret.jpg\n"
    with pytest.raises(SlideError, match="outside"):
        open_slide(write(tmp_path / "in" / "s.vms", text))


def test_a_pipe_among_the_parts_is_refused_and_not_waited_for(tmp_path):
    path = mrxs(tmp_path)
    (tmp_path / "m" / "Slidedat.ini").unlink()
    os.mkfifo(tmp_path / "m" / "Slidedat.ini")
    with pytest.raises(SlideError, match="no plain file"):
        open_slide(path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SlideError, match="no plain file"):
        open_slide(dicom(tmp_path / "0.dcm", b"1.2.3"))


def test_content_at_fault_is_damage(tmp_path):
    with pytest.raises(DamagedSlideError):
        open_slide(write(tmp_path / "a.tif", b"broken one"))


def test_links_are_followed_once_where_they_are_followed(tmp_path):
    write(tmp_path / "day" / "a.png")
    write(tmp_path.with_name(f"{tmp_path.name}-other") / "b.png")
    (tmp_path / "day" / "up").symlink_to("..")
    (tmp_path / "0-latest.png").symlink_to(tmp_path / "day" / "a.png")
    (tmp_path / "elsewhere").symlink_to(tmp_path.with_name(f"{tmp_path.name}-other"))
    assert names(look_at_folder(tmp_path, follow_links=True)) == ["a.png", "b.png"]
    assert names(look_at_folder(tmp_path)) == ["a.png"]


def test_many_links_in_circles_end(tmp_path):
    write(tmp_path / "a.png")
    for name in "abcdefgh":
        (tmp_path / name).symlink_to(".")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe.svs")
    assert names(look_at_folder(tmp_path, follow_links=True)) == ["a.png"]


def test_what_cannot_be_seen_is_said_and_the_rest_is_found(tmp_path, monkeypatch):
    write(tmp_path / "a.png")
    write(tmp_path / "stale" / "b.png")
    scandir = os.scandir

    def fail(folder):
        if str(folder).endswith("stale"):
            raise OSError(116, "Stale file handle")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", fail)
    look = look_at_folder(tmp_path)
    assert names(look) == ["a.png"] and look.unseen == {tmp_path / "stale": "Stale file handle"}


def test_a_name_that_is_no_text_is_refused_alone(tmp_path):
    write(tmp_path / "a.png")
    write(tmp_path / os.fsdecode(b"M\xfcller.png"))
    look = look_at_folder(tmp_path)
    assert names(look) == ["a.png"] and list(look.refused.values()) == ["its name is not UTF-8"]


def test_stores_are_not_looked_into(tmp_path):
    write(tmp_path / "a.png")
    write(tmp_path / "results" / "state.db")
    write(tmp_path / "results" / "export" / "crop.png")
    assert names(look_at_folder(tmp_path)) == ["a.png"]


def test_copies_share_an_id_and_changes_do_not(tmp_path):
    path = write(tmp_path / "a.svs", b"one")
    copy = shutil.copy(path, tmp_path / "b.svs")
    assert id_of(path) == content_id([tmp_path / "b.svs"]) and copy
    first = id_of(path)
    path.write_bytes(b"two")
    assert id_of(path) != first
