"""A watched folder: nothing ends the looking, and nothing is lost or led astray by quarantine."""

import os
import stat
import threading

import pytest

from ingest import CytostreamError, SlideArrival, SlideFiles
from stream.config import BacklogSettings as Rules
from stream.config import WatchSettings
from stream.intake import quarantine
from stream.intake.folder import FolderIntake
from stream.store.backlog import Backlog


@pytest.fixture
def scans(tmp_path):
    (tmp_path / "scans").mkdir()
    return tmp_path / "scans"


@pytest.fixture
def said():
    return []


@pytest.fixture
def intake(scans, outbox, said):
    rules = WatchSettings(still_looks=1, look_s=0.001)
    return FolderIntake(
        scans, scans / "results", Backlog(outbox, Rules(retry_s=0.0)), rules, said.append
    )


def write(path, data=b"broken"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def arrived(intake, *paths):
    for _ in range(12):
        intake.look()
    return [intake.put_aside(path, "damaged", "copy it again") for path in paths]


def kept(scans):
    """What is in quarantine, but for the reasons."""
    home = scans / "quarantine"
    files = [path for path in home.rglob("*") if path.is_file()]
    slides = [path for path in files if not path.name.endswith(".reason.txt")]
    return {str(path.relative_to(home)): path.read_bytes() for path in slides}


def test_two_of_one_name_are_both_kept_with_their_folders(intake, scans):
    paths = [write(scans / day / "Image_001.tif", day.encode()) for day in ("monday", "tuesday")]
    places = arrived(intake, *paths)
    assert kept(scans) == {f"{day}/Image_001.tif": day.encode() for day in ("monday", "tuesday")}
    assert "monday" in places[0].with_name("Image_001.tif.reason.txt").read_text()
    write(paths[0], b"a third")
    arrived(intake, paths[0])
    assert kept(scans)["again-2/monday/Image_001.tif"] == b"a third" and len(kept(scans)) == 3


def test_moving_it_back_is_enough(intake, scans):
    (place,) = arrived(intake, path := write(scans / "monday" / "a.svs"))
    intake.backlog.give_up(intake.backlog.next(), "damaged")
    assert intake.backlog.next() is None
    place.rename(path)
    arrived(intake)
    assert intake.backlog.next().path == path


def test_a_slide_of_several_files_is_moved_whole_and_what_lies_beside_it_stays(intake, scans):
    write(scans / "s.vms", b"[Virtual Microscope Specimen]\nImageFile=s(0,0).jpg\n")
    for name in ("s(0,0).jpg", "s_label.jpg", "s.vms.done", "m.mrxs", "m/Slidedat.ini", "m/D.dat"):
        write(scans / name)
    arrived(intake, scans / "s.vms", scans / "m.mrxs")
    assert set(kept(scans)) == {
        "s.vms",
        "s(0,0).jpg",
        "s.vms.done",
        "m.mrxs",
        "m/Slidedat.ini",
        "m/D.dat",
    }
    assert [path.name for path in scans.iterdir() if path.is_file()] == ["s_label.jpg"]


def test_a_part_that_another_slide_needs_and_a_picture_beside_a_slide_stay(intake, scans):
    for stem in "ab":
        write(scans / f"{stem}.vms", b"[Virtual Microscope Specimen]\nImageFile=shared.jpg\n")
    for name in ("shared.jpg", "photo.png"):
        write(scans / name)
    assert arrived(intake, scans / "a.vms", scans / "photo.png") == [None, None]
    assert kept(scans) == {}


def test_what_the_looking_has_not_found_is_never_moved(intake, scans):
    write(scans / "results" / "state.db")
    write(scans / "results" / "a.svs")
    assert (
        arrived(intake, scans / "results" / "state.db", scans / "results" / "a.svs") == [None] * 2
    )
    assert kept(scans) == {}


def test_the_quarantine_may_be_no_link(scans, outbox, tmp_path):
    (tmp_path / "victim").mkdir()
    (scans / "quarantine").symlink_to(tmp_path / "victim")
    with pytest.raises(CytostreamError, match="a link"):
        FolderIntake(scans, tmp_path, Backlog(outbox, Rules()), WatchSettings(), print)
    with pytest.raises(CytostreamError, match="no name of a folder"):
        FolderIntake(
            scans,
            tmp_path,
            Backlog(outbox, Rules()),
            WatchSettings(quarantine="../elsewhere"),
            print,
        )


def test_links_laid_in_the_way_lead_nowhere(intake, scans, tmp_path):
    victim = write(tmp_path / "victim" / "precious.conf", b"precious")
    path = write(scans / "monday" / "x.png")
    arrived(intake)
    (scans / "quarantine" / "monday").mkdir()
    (scans / "quarantine" / "monday" / "x.png.reason.txt").symlink_to(victim)
    place = intake.put_aside(path, "damaged", "copy it again")
    assert place.parent.parent.name == "again-2" and victim.read_bytes() == b"precious"
    other = write(scans / "tuesday" / "y.png")
    arrived(intake)
    (scans / "quarantine" / "tuesday").symlink_to(victim.parent)
    assert intake.put_aside(other, "damaged", "copy it again") is None and other.exists()
    assert list(victim.parent.iterdir()) == [victim]


def test_a_folder_swapped_for_a_link_is_not_moved_out_of(intake, scans, tmp_path):
    path = write(scans / "monday" / "x.png")
    arrived(intake)
    write(tmp_path / "victim" / "x.png", b"another's")
    (scans / "monday").rename(scans / "kept")
    (scans / "monday").symlink_to(tmp_path / "victim")
    assert intake.put_aside(path, "damaged", "copy it again") is None
    assert (tmp_path / "victim" / "x.png").read_bytes() == b"another's"


def test_the_quarantine_is_its_owners(intake, scans):
    assert stat.S_IMODE((scans / "quarantine").stat().st_mode) == 0o700
    (place,) = arrived(intake, write(scans / "a.svs"))
    note = place.with_name("a.svs.reason.txt")
    assert stat.S_IMODE(note.stat().st_mode) == 0o600


def test_a_move_that_fails_midway_leaves_all_where_it_was(intake, scans, monkeypatch):
    write(scans / "s.vms", b"[Virtual Microscope Specimen]\nImageFile=s(0,0).jpg\n")
    write(scans / "s(0,0).jpg")
    arrived(intake)
    move = quarantine.move_to_quarantine

    def fail(source, target, name):
        if name == "s.vms":
            raise OSError(28, "No space left on device")
        move(source, target, name)

    monkeypatch.setattr(quarantine, "move_to_quarantine", fail)
    assert intake.put_aside(scans / "s.vms", "damaged", "copy it again") is None
    assert kept(scans) == {} and (scans / "s(0,0).jpg").exists() and (scans / "s.vms").exists()


def test_links_and_pipes_are_not_taken_in(intake, scans, tmp_path):
    (scans / "link.svs").symlink_to(write(tmp_path / "private.svs"))
    (scans / "away").symlink_to(tmp_path)
    os.mkfifo(scans / "pipe.svs")
    arrived(intake)
    assert intake.backlog.jobs() == []


def test_both_names_of_one_file_are_queued(intake, scans):
    path = write(scans / "a.svs")
    os.link(path, scans / "b.svs")
    arrived(intake)
    assert [job.path.name for job in intake.backlog.jobs()] == ["a.svs", "b.svs"]


def test_inode_numbers_that_change_at_each_look_do_no_harm(intake, scans, monkeypatch):
    write(scans / "a.svs")
    lstat = type(scans).lstat
    numbers = iter(range(10**6))

    class Facts:
        def __init__(self, real):
            self.real = real

        def __getattr__(self, name):
            return next(numbers) if name == "st_ino" else getattr(self.real, name)

    monkeypatch.setattr(type(scans), "lstat", lambda path: Facts(lstat(path)))
    arrived(intake)
    assert len(intake.backlog.jobs()) == 1


def test_a_rename_keeps_the_row(intake, scans):
    path = write(scans / "a.svs")
    arrived(intake)
    path.rename(scans / "b.svs")
    arrived(intake)
    assert [job.path.name for job in intake.backlog.jobs()] == ["b.svs"]


def test_a_share_that_goes_and_comes_loses_nothing(intake, scans, tmp_path):
    write(scans / "a.svs")
    arrived(intake)
    intake.backlog.finish(intake.backlog.next(), "s1", 1.0)
    write(scans / "b.svs")
    arrived(intake)
    scans.rename(tmp_path / "away")
    arrived(intake)
    scans.mkdir()  # a mount point with nothing on it
    arrived(intake)
    scans.rmdir()
    (tmp_path / "away").rename(scans)
    arrived(intake)
    assert [(job.path.name, job.state) for job in intake.backlog.jobs()] == [
        ("a.svs", "done"),
        ("b.svs", "waiting"),
    ]


def test_a_slide_that_is_taken_away_waits_no_longer_and_comes_back(intake, scans):
    path = write(scans / "a.svs")
    write(scans / "b.svs")
    arrived(intake)
    path.rename(scans.parent / "a.svs")
    arrived(intake)
    assert [job.state for job in intake.backlog.jobs()] == ["failed", "waiting"]
    (scans.parent / "a.svs").rename(path)
    arrived(intake)
    assert [job.state for job in intake.backlog.jobs()] == ["waiting", "waiting"]


def test_trouble_is_said_once_and_the_looking_goes_on(intake, scans, said, monkeypatch):
    write(scans / "a.svs")
    write(scans / os.fsdecode(b"M\xfcller.png"))
    scandir, broken = os.scandir, [True]

    def stale(folder):
        if broken and folder == scans:
            raise OSError(116, "Stale file handle")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", stale)
    for _ in range(3):
        intake.look()
    assert sum("Stale file handle" in line for line in said) == 1
    broken.clear()
    arrived(intake)
    assert any("again" in line for line in said) and len(intake.backlog.jobs()) == 1
    assert sum("M\\xfcller.png" in line for line in said) == 1


def test_a_fault_of_one_slide_is_not_the_end_of_the_others(scans, outbox, said):
    def on_arrival(slide):
        if slide.path.name == "a.svs":
            raise ValueError("of one slide")

    backlog = Backlog(outbox, Rules())
    intake = FolderIntake(
        scans, scans / "r", backlog, WatchSettings(still_looks=1), said.append, on_arrival
    )
    for name in "ab":
        write(scans / f"{name}.svs")
    arrived(intake)
    assert [job.path.name for job in backlog.jobs()] == ["b.svs"]
    assert any("of one slide" in line for line in said)


def test_where_the_looking_ends_all_the_same_the_command_ends_with_an_error(intake, monkeypatch):
    def fail():
        raise RuntimeError("a fault of the looking")

    stop = threading.Event()
    monkeypatch.setattr(intake, "look", fail)
    with pytest.raises(CytostreamError, match="a fault of the looking"), intake.looking(stop):
        assert stop.wait(10)


def test_the_looking_outlives_errors_of_the_system(intake, monkeypatch, said):
    looks = iter([OSError(5, "Input/output error"), OSError(107, "not connected")])
    stop = threading.Event()

    def look():
        if error := next(looks, None):
            raise error
        stop.set()

    monkeypatch.setattr(intake, "look", look)
    with intake.looking(stop):
        assert stop.wait(10)
    assert len(said) == 2


def test_an_arrival_of_a_known_slide_in_another_folder_is_told_as_renamed(intake, scans, said):
    intake.backlog.add([])
    intake.take(
        SlideArrival(SlideFiles(scans / "new.svs", (scans / "new.svs",)), scans / "old.svs")
    )
    assert [job.path.name for job in intake.backlog.jobs()] == [
        "new.svs"
    ]  # nothing was known of it


def test_what_cannot_be_queued_now_is_queued_at_a_later_look(intake, scans, said, monkeypatch):
    path = write(scans / "a.svs")
    taken = []

    def take(arrival):
        taken.append(arrival.found.path)
        if len(taken) == 1:
            raise OSError("no space left on device")

    monkeypatch.setattr(intake, "take", take)
    arrived(intake)
    assert taken == [path, path]
    assert said == ["a.svs: cannot be queued now: no space left on device"]
