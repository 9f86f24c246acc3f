"""What belongs to a slide: its files, its id, and the pictures beside it."""

import os
import shutil

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
from tests.ingest.parts import dicom, mrxs, vms, write


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


LISTED = (
    b"[HIERARCHICAL]\nINDEXFILE = Index.dat\n[DATAFILE]\nFILE_0=Data0000.dat\nFILE_1=Data0001.dat"
)


def listed_mrxs(folder, *pixels):
    for name, data in zip(("Index.dat", "Data0000.dat", "Data0001.dat"), pixels, strict=False):
        write(folder / "m" / name, data)
    write(folder / "m" / "Slidedat.ini", LISTED)
    return write(folder / "m.mrxs", b"key")


def test_the_parts_of_a_mrxs_slide_are_those_that_its_list_names(tmp_path):
    slide = listed_mrxs(tmp_path / "a", b"index", b"one", b"two")
    before = id_of(slide)
    write(tmp_path / "a" / "m" / "Thumbs.db")
    assert id_of(slide) == before != id_of(listed_mrxs(tmp_path / "b", b"index", b"two", b"one"))
    with pytest.raises(IncompleteSlideError, match="its part Data0001.dat is missing"):
        open_slide(listed_mrxs(tmp_path / "c", b"index", b"one"))


@pytest.mark.parametrize("layers", [1, 3])
def test_planes_of_focus_of_slides_of_several_files_are_named(tmp_path, layers):
    levels = f"HIER_1_NAME = Microscope focus level\nHIER_1_COUNT = {layers}\n".encode()
    planes = "planes" if layers > 1 else "damaged|not a slide"
    slide = listed_mrxs(tmp_path, b"index", b"one", b"two")
    write(tmp_path / "m" / "Slidedat.ini", levels + LISTED)
    with pytest.raises(SlideError, match=planes):
        open_slide(slide, mpp=0.25)
    key = vms(tmp_path)
    write(key, key.read_bytes() + f"\nNoLayers={layers}".encode())
    with pytest.raises(SlideError, match=planes):
        open_slide(key, mpp=0.25)


def test_files_of_dicom_without_a_suffix(tmp_path):
    dicom(tmp_path / "1.2.840.7", b"1.2.3", b"largest of them")
    dicom(tmp_path / "IM1", b"1.2.3")
    dicom(tmp_path / "1.2.840.8", b"1.2.4")
    write(tmp_path / "notes")
    look = look_at_folder(tmp_path)
    assert [len(slide.parts) for slide in look.slides] == [2, 1]
    assert id_of(tmp_path / "IM1") == id_of(tmp_path / "1.2.840.7")


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
