"""A watched folder look by look: what is said, which rows of the backlog change, where the files
lie; and the steps of a move into quarantine.
"""

import errno
import os
import stat
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from ingest import CytostreamError, SlideFiles
from stream.config import BacklogSettings, WatchSettings
from stream.intake import quarantine as quarantine_module
from stream.intake.folder import FolderIntake, LookingThread, is_gone
from stream.intake.quarantine import Quarantine, handle_of, move_to_quarantine, write_new
from stream.store import Backlog
from stream.store import backlog as backlog_module
from tests.approved import approved
from tests.stream.store.test_approved_rows import Book

VMS = b"[Virtual Microscope Specimen]\nImageFile=%s\n"


def write(path, data=b"slide"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.fixture
def scans(tmp_path):
    return write(tmp_path / "scans" / "a.svs").parent


class Day:
    """An intake, and what comes of each act."""

    def __init__(self, scans, outbox, monkeypatch, **rules):
        monkeypatch.setattr(backlog_module, "file_stamp", lambda path: path.name)
        monkeypatch.setattr(backlog_module, "stamp_of_version_0_2", lambda path: "old")
        self.scans, self.said, self.seen = scans, [], []
        self.book = Book(outbox.rows, scans, "backlog")
        settings = WatchSettings(still_looks=1, stat=("stat/*",), **rules)
        self.intake = FolderIntake(
            scans,
            scans / "results",
            Backlog(outbox, BacklogSettings()),
            settings,
            self.said.append,
            self.seen.append,
            mpp=0.25,
            once=True,
        )

    def act(self, name, given=None):
        self.book.act(name, given)
        self.book.lines += [f"  said {line}" for line in self.said]
        self.book.lines += [f"  arrived {slide.path.name}" for slide in self.seen]
        self.said.clear()
        self.seen.clear()

    def looks(self, name, count=2):
        for _ in range(count):
            self.intake.look()
        self.act(name, f"empty {self.intake.is_empty()}")

    def put_aside(self, name):
        path = self.scans / name
        self.act(f"put {name} aside", self.intake.put_aside(path, "torn", "scan it again"))
        files = sorted(str(one.relative_to(self.scans)) for one in self.scans.rglob("*"))
        self.book.lines.append(f"  files {files}")

    def text(self):
        return "\n".join(self.book.lines)


@pytest.fixture
def day(scans, outbox, monkeypatch):
    return Day(scans, outbox, monkeypatch)


def test_a_day_look_by_look(day, scans, tmp_path, monkeypatch):
    day.looks("one slide", 1)
    day.looks("it holds still")
    write(scans / "stat" / "b.svs")
    for number in range(5):
        write(scans / f"p{number}.png")
    for name in ("b_label", "b_macro", "b", "b-thumb"):
        write(scans / "stat" / f"{name}.png")
    day.looks("an urgent one, and pictures beside them", 8)
    write(scans / "stat" / "b-map.png")
    day.looks("one picture more")
    write(scans / os.fsdecode(b"M\xfcller.svs"))
    day.looks("a name that is no text")
    (scans / os.fsdecode(b"M\xfcller.svs")).unlink()
    day.looks("it is gone")
    (scans / "a.svs").rename(scans / "c.svs")
    day.looks("another name", 3)
    (scans / "c.svs").rename(tmp_path / "c.svs")
    day.looks("taken away", 1)
    (tmp_path / "c.svs").rename(scans / "c.svs")
    day.looks("and back", 3)
    away = OSError(errno.EIO, "Input/output error")
    scandir = os.scandir

    def failing(folder):
        if os.fspath(folder) == str(scans / "stat"):
            raise away
        return scandir(folder)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", failing)
        day.looks("a folder that cannot be seen")
    day.looks("it can be seen")
    day.put_aside("stat/b.svs")
    day.put_aside("stat/b.svs")
    approved(__file__, "a-day", day.text(), folder=scans)


def test_slides_of_several_files_in_quarantine(day, scans):
    write(scans / "s.vms", VMS % b"s(0,0).jpg")
    write(scans / "t.vms", VMS % b"shared.jpg")
    write(scans / "u.vms", VMS % b"shared.jpg")
    for name in ("s(0,0).jpg", "s.vms.done", "shared.jpg", "m.mrxs", "m/Slidedat.ini", "m/D.dat"):
        write(scans / name)
    write(scans / "results" / "r.svs")
    day.looks("all of them", 12)
    for name in ("s.vms", "t.vms", "m.mrxs", "results/r.svs", "a.svs"):
        day.put_aside(name)
    write(scans / "a.svs", b"another")
    day.looks("one of the same name", 3)
    day.put_aside("a.svs")
    notes = sorted(scans.rglob("*.reason.txt"))
    day.book.lines += [f"{note.relative_to(scans)}: {note.read_text()}" for note in notes]
    assert day.intake.closed_folders() == (scans / "results", scans / "quarantine")
    modes = {stat.S_IMODE(one.stat().st_mode) for one in notes}
    folders = {stat.S_IMODE(note.parent.stat().st_mode) for note in notes}
    assert modes == {0o600} and folders == {0o700}
    approved(__file__, "several-files", day.text(), folder=scans)


def test_without_a_quarantine_nothing_is_moved(scans, outbox, monkeypatch):
    day = Day(scans, outbox, monkeypatch, quarantine="")
    day.looks("one slide", 3)
    assert day.intake.put_aside(scans / "a.svs", "torn", "again") is None
    assert (scans / "a.svs").exists() and [one.name for one in scans.iterdir()] == ["a.svs"]
    assert day.intake.closed_folders() == (scans / "results",)


def test_it_is_never_empty_where_it_goes_on(day, scans):
    day.looks("one slide", 3)
    assert not day.intake.is_empty()  # it waits
    (scans / "a.svs").unlink()
    assert day.intake.is_empty()
    day.intake.once = False
    assert not day.intake.is_empty()


def test_what_cannot_be_seen_is_not_gone(monkeypatch, scans):
    assert is_gone(scans / "none.svs") is True and is_gone(scans / "a.svs") is False

    def lstat(path):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(type(scans), "lstat", lstat)
    assert is_gone(scans / "a.svs") is False


class Stop:
    """Stands for the event that ends the looking: notes each wait."""

    def __init__(self, looks=99):
        self.waits, self.looks, self.sets = [], looks, 0

    def is_set(self):
        return self.sets > 0 or len(self.waits) >= self.looks

    def wait(self, seconds):
        self.waits.append(seconds)

    def set(self):
        self.sets += 1


def looking(stop, looks, empty=False, said=None):
    """A thread that is not started, whose looks raise what is scripted."""
    answers = iter(looks)

    def look():
        if error := next(answers, None):
            raise error

    intake = SimpleNamespace(
        look=look,
        is_empty=lambda: empty,
        rules=SimpleNamespace(look_s=3.5),
        folder="scans",
        on_message=(said if said is not None else []).append,
    )
    return LookingThread(intake, stop)


def test_it_looks_again_after_a_pause_until_all_is_done():
    stop = Stop(looks=3)
    looking(stop, [])._run()
    assert (stop.waits, stop.sets) == ([3.5] * 3, 1)
    stop = Stop()
    looking(stop, [], empty=True)._run()
    assert (stop.waits, stop.sets) == ([3.5], 2)


def test_errors_of_the_system_are_said_and_the_looking_goes_on():
    stop, said = Stop(looks=3), []
    one = looking(stop, [OSError(errno.EIO, "Input/output error"), OSError("else")], said=said)
    one._run()
    assert said == [
        "scans: cannot be looked at now: Input/output error",
        "scans: cannot be looked at now: else",
    ]
    assert one.trouble is None and len(stop.waits) == 3


@pytest.mark.parametrize(
    ("error", "said", "logged"),
    [
        (CytostreamError("no store", "check it"), "no store (check it)", []),
        (
            KeyError("x"),
            "the folder is no longer looked at: KeyError: 'x' (start the same command again, and "
            "report it)",
            ["the looking has ended"],
        ),
    ],
)
def test_what_ends_the_looking_is_raised_by_who_leaves_it(error, said, logged, caplog):
    stop = Stop()
    one = looking(stop, [error])
    one._run()
    assert (str(one.trouble), stop.sets, stop.waits) == (said, 1, [])
    assert [record.getMessage() for record in caplog.records] == logged
    joined = []
    one.thread = SimpleNamespace(join=lambda: joined.append("join"))
    with pytest.raises(CytostreamError) as raised:
        one.__exit__(None)
    assert raised.value is one.trouble and joined == ["join"] and stop.sets == 2
    one.__exit__(ValueError)  # what ended the work goes before it
    one.trouble = None
    one.__exit__(None)


def test_its_thread_ends_with_the_process(day):
    one = day.intake.looking(threading.Event())
    assert (one.thread.name, one.thread.daemon, one.intake) == ("watch", True, day.intake)
    with one as started:
        assert started is one
    assert one.stop.is_set() and not one.thread.is_alive()


def handles():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="not Linux")
def test_a_move_leaves_no_handle_open(scans, monkeypatch):
    before = handles()
    place = Quarantine(scans, "quarantine")
    assert handles() == before
    slide = SlideFiles(scans / "a.svs", (scans / "a.svs",))
    place.take(slide, ["a.svs"], "torn")
    assert handles() == before
    with pytest.raises(OSError):
        place.take(slide, ["a.svs"], "torn")
    assert handles() == before
    assert not (scans / "quarantine" / "again-2" / "a.svs.reason.txt").exists()


@pytest.mark.parametrize("name", ["..", ".", "a/b"])
def test_a_quarantine_has_a_plain_name(scans, name):
    with pytest.raises(CytostreamError) as refused:
        Quarantine(scans, name)
    assert str(refused.value) == (
        f"watch.quarantine: {name!r} is no name of a folder (give a name without a slash)"
    )


def test_what_cannot_be_the_quarantine(scans, monkeypatch):
    with pytest.raises(CytostreamError) as refused:
        Quarantine(scans, "a.svs")
    hint = "(remove it, or name another folder in watch.quarantine)"
    assert str(refused.value) == f"{scans}/a.svs: a link or a file, not a folder {hint}"
    Quarantine(scans, "there")
    Quarantine(scans, "there")

    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(CytostreamError) as refused:
        Quarantine(scans, "other")
    assert str(refused.value) == (
        f"{scans}/other: cannot be the quarantine: Permission denied {hint}"
    )


def test_a_slide_whose_places_are_all_taken_stays(scans, monkeypatch):
    monkeypatch.setattr(quarantine_module, "PLACES_MAX", 3)
    place = Quarantine(scans, "quarantine")
    slide = SlideFiles(scans / "a.svs", (scans / "a.svs",))
    for expected in ("quarantine/a.svs", "quarantine/again-2/a.svs"):
        write(scans / "a.svs")
        assert place.take(slide, ["a.svs"], "torn") == scans / expected
    write(scans / "a.svs")
    with pytest.raises(OSError) as full:
        place.take(slide, ["a.svs"], "torn")
    assert full.value.errno == errno.EEXIST
    assert full.value.strerror == "a thousand slides of this name are there"
    assert (scans / "a.svs").exists() and not (scans / "quarantine" / "again-3").exists()


@pytest.fixture
def two(tmp_path):
    """Two folders, as handles."""
    write(tmp_path / "from" / "a.svs", b"data")
    (tmp_path / "to").mkdir()
    with handle_of(tmp_path / "from") as source, handle_of(tmp_path / "to") as target:
        yield tmp_path, source, target


@pytest.mark.parametrize(
    ("number", "moved"),
    [
        (errno.EPERM, True),
        (errno.EOPNOTSUPP, True),
        (errno.EMLINK, True),
        (errno.EACCES, True),
        (errno.EIO, False),
    ],
)
def test_a_file_system_without_links_moves_by_name(two, monkeypatch, number, moved):
    folder, source, target = two

    def link(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    if not moved:
        with pytest.raises(OSError) as failed:
            move_to_quarantine(source, target, "a.svs")
        assert failed.value.errno == number and (folder / "from" / "a.svs").exists()
        return
    move_to_quarantine(source, target, "a.svs")
    assert (folder / "to" / "a.svs").read_bytes() == b"data"
    assert not (folder / "from" / "a.svs").exists()
    write(folder / "from" / "a.svs", b"other")
    with pytest.raises(FileExistsError) as taken:
        move_to_quarantine(source, target, "a.svs")
    assert (taken.value.errno, taken.value.strerror) == (errno.EEXIST, "exists already")
    assert (folder / "to" / "a.svs").read_bytes() == b"data"


def test_only_files_and_folders_are_moved(two):
    folder, source, target = two
    write(folder / "from" / "inner" / "b.dat")
    os.mkfifo(folder / "from" / "pipe")
    for name in ("a.svs", "inner"):
        move_to_quarantine(source, target, name)
    with pytest.raises(OSError) as refused:
        move_to_quarantine(source, target, "pipe")
    assert (refused.value.errno, refused.value.strerror) == (errno.EINVAL, "no plain file")
    assert sorted(one.name for one in (folder / "to").rglob("*")) == ["a.svs", "b.dat", "inner"]
    assert [one.name for one in (folder / "from").iterdir()] == ["pipe"]


def test_a_note_is_written_over_nothing_and_through_no_link(two):
    folder, _, target = two
    write_new(target, "note.txt", "Müller")
    note = folder / "to" / "note.txt"
    assert note.read_text(encoding="utf-8") == "Müller"
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    (folder / "to" / "link.txt").symlink_to(folder / "elsewhere")
    for name in ("note.txt", "link.txt"):
        with pytest.raises(OSError):
            write_new(target, name, "x")
    assert not (folder / "elsewhere").exists()
