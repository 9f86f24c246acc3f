"""A scanner's folder: what is there, and when it is whole."""

import os

import pytest

from ingest import ScannerConventions, Watcher, slides_in
from tests.ingest.parts import dicom


@pytest.fixture
def watcher(tmp_path):
    return Watcher(tmp_path, ScannerConventions(still_looks=2))


def look(watcher, times=1):
    return [arrived for _ in range(times) for arrived in watcher.look()]


def names(arrived):
    return [a.found.path.name for a in arrived]


def write(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)
    return path


def test_a_file_that_grows_arrives_once_it_stands_still(tmp_path, watcher):
    for _ in range(4):
        write(tmp_path / "a.svs")
        assert look(watcher) == []
    assert watcher.growing() == 1
    assert names(look(watcher, 2)) == ["a.svs"]
    assert look(watcher, 3) == [] and watcher.growing() == 0


def test_a_file_of_zero_bytes_does_not_arrive(tmp_path, watcher):
    (tmp_path / "a.svs").touch()
    assert look(watcher, 5) == []


def test_the_same_size_with_other_times_is_not_still(tmp_path, watcher):
    path = write(tmp_path / "a.svs")
    for second in range(5):
        os.utime(path, ns=(second * 10**9, second * 10**9))
        assert look(watcher) == []


@pytest.mark.parametrize("marker", ["a.svs.done", "a.done"])
def test_the_scanners_marker_says_that_it_is_whole(tmp_path, watcher, marker):
    write(tmp_path / "a.svs")
    assert look(watcher) == []
    (tmp_path / marker).touch()
    assert names(look(watcher)) == ["a.svs"]


def test_where_a_marker_is_needed_standing_still_is_not_enough(tmp_path):
    watcher = Watcher(tmp_path, ScannerConventions(still_looks=1, need_marker=True))
    write(tmp_path / "a.svs")
    assert look(watcher, 5) == []
    (tmp_path / "a.svs.done").touch()
    assert names(look(watcher)) == ["a.svs"]


def test_names_on_the_way_are_left_alone_until_they_are_renamed(tmp_path, watcher):
    path = write(tmp_path / "a.svs.part")
    write(tmp_path / ".b.svs")
    assert look(watcher, 4) == []
    path.rename(tmp_path / "a.svs")
    assert names(look(watcher, 3)) == ["a.svs"]


def test_renamed_while_it_is_written_it_arrives_once(tmp_path, watcher):
    path = write(tmp_path / "a.svs")
    look(watcher)
    path = path.rename(tmp_path / "patient.svs")
    write(path)
    assert names(look(watcher, 4)) == ["patient.svs"]


def test_renamed_afterwards_it_is_the_same(tmp_path, watcher):
    path = write(tmp_path / "a.svs")
    look(watcher, 3)
    path.rename(tmp_path / "b.svs")
    (arrived,) = look(watcher, 3)
    assert (arrived.was, arrived.found.path) == (path, tmp_path / "b.svs")


def test_one_that_grows_on_after_a_long_pause_arrives_again(tmp_path, watcher):
    path = write(tmp_path / "a.svs")
    assert len(look(watcher, 3)) == 1
    write(path)
    assert len(look(watcher, 4)) == 1


def test_a_mrxs_slide_is_whole_with_its_folder(tmp_path, watcher):
    write(tmp_path / "a.mrxs")
    look(watcher)
    for part in range(3):
        write(tmp_path / "a" / f"Data000{part}.dat")
        assert look(watcher) == []
    (arrived,) = look(watcher, 3)
    assert len(arrived.found.parts) == 4 and arrived.found.path.name == "a.mrxs"


def test_a_dicom_folder_is_one_slide(tmp_path, watcher):
    dicom(tmp_path / "series" / "1.dcm", b"1.2", b"level one")
    dicom(tmp_path / "series" / "0.dcm", b"1.2", b"level nought, the largest")
    (tmp_path / "series" / ".done").touch()
    (arrived,) = look(watcher)
    assert arrived.found.path.name == "0.dcm" and len(arrived.found.parts) == 2


def test_other_slides_in_a_folder_of_fields_are_not_left_out(tmp_path):
    for name in ("0.png", "whole.svs", "more/1.png"):
        write(tmp_path / "s1.fields" / name)
    found = {slide.path.name: slide.set_id for slide in slides_in(tmp_path)}
    assert found.keys() == {"0.png", "whole.svs", "1.png"}
    assert found["0.png"] and not found["whole.svs"]


def test_fields_of_view_arrive_one_by_one_while_their_folder_fills(tmp_path, watcher):
    write(tmp_path / "s1.fields" / "0.png")
    look(watcher, 2)
    write(tmp_path / "s1.fields" / "1.png")
    (first,) = look(watcher)
    assert first.found.path.name == "0.png"
    (second,) = look(watcher, 2)
    assert second.found.set_id == first.found.set_id and second.found.path.name == "1.png"
    write(tmp_path / "s2.fields" / "0.png")
    assert look(watcher, 3)[0].found.set_id != first.found.set_id


def test_folders_below_by_name_and_no_quarantine(tmp_path):
    for name in ("b/2.svs", "a/1.tiff", "quarantine/3.svs", "notes.txt", "0.NDPI"):
        write(tmp_path / name)
    assert [found.path.name for found in slides_in(tmp_path)] == ["0.NDPI", "1.tiff", "2.svs"]


def test_a_folder_that_goes_away_is_empty(tmp_path):
    assert look(Watcher(tmp_path / "share"), 2) == []
