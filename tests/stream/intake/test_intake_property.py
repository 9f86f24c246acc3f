"""Random trees of slides: whatever a scanner and people do in the folder, each slide is done
exactly once and no byte is lost.
"""

import os
import shutil
import tempfile
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ingest import DamagedSlideError, Failure, SlideAwayError, SlideError, content_id
from ingest.slide import check_file
from stream.config import BacklogSettings as Rules
from stream.config import Config, WatchSettings
from stream.events.event import Provenance
from stream.events.payloads import Progress
from stream.intake.folder import FolderIntake
from stream.run import worker
from stream.run.context import RunContext
from stream.run.progress import SlideOutcome
from stream.store.backlog import Backlog
from stream.store.outbox import Outbox
from tests.ingest.parts import dicom

FOLDERS = ("", "monday", "monday/evening", "tuesday")
STEMS = ("a", "b", "a_label", "Image_001")
SUFFIXES = (".svs", ".tif", ".png")
PIPE = "pipe.svs"
LOOKS = 12  # until an incomplete slide has been given up, too
folders, stems, suffixes = map(st.sampled_from, (FOLDERS, STEMS, SUFFIXES))
picks = st.integers(0, 1000)


def is_broken(files):
    return any(b"broken" in file.read_bytes() for file in files if file.is_file())


class Intake(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="intake-")).resolve()
        self.scans = self.home / "scans"
        for folder in FOLDERS:
            (self.scans / folder).mkdir(parents=True, exist_ok=True)
        self.outbox = Outbox(self.home / "state.db")
        self.count = 0
        self.done = Counter()
        self.messages = []
        self.patch = patch.object(worker, "run_slide", self.run_one)
        self.patch.start()
        self.restart()

    @rule()
    def restart(self):
        self.backlog = Backlog(self.outbox, Rules(retry_s=0.0, tries=2))
        rules = WatchSettings(look_s=0.01, still_looks=1)
        self.intake = FolderIntake(
            self.scans, self.home / "store", self.backlog, rules, self.messages.append
        )

    def bytes_of(self, kind):
        """New content, of a size that nothing else has."""
        self.count += 1
        return f"{kind} {self.count} ".encode() + b"x" * self.count

    def files(self):
        """What lies in the folder under a name of its own, and may be moved: files that are no part
        of a slide of several.
        """
        return [
            path
            for path in sorted(self.scans.rglob("*"))
            if path.is_file()
            and not path.is_symlink()
            and path.suffix in SUFFIXES
            and "quarantine" not in path.parts
        ]

    def free(self, folder, stem, suffix):
        path = self.scans / folder / f"{stem}{suffix}"
        return path if path.parent.is_dir() and not os.path.lexists(path) else None

    @rule(folder=folders, stem=stems, suffix=suffixes, kind=st.sampled_from(["good", "broken"]))
    def write(self, folder, stem, suffix, kind):
        if path := self.free(folder, stem, suffix):
            path.write_bytes(self.bytes_of(kind))

    @rule(folder=folders, stem=stems, kind=st.sampled_from(["good", "broken"]), whole=st.booleans())
    def write_mrxs(self, folder, stem, kind, whole):
        path = self.free(folder, stem, ".mrxs")
        if path and not path.with_suffix("").exists():
            path.write_bytes(self.bytes_of(kind))
            path.with_suffix("").mkdir()
            (path.with_suffix("") / "Data0000.dat").write_bytes(self.bytes_of("data"))
            if whole:
                (path.with_suffix("") / "Slidedat.ini").write_bytes(self.bytes_of("ini"))

    @rule(folder=folders, stem=stems, kind=st.sampled_from(["good", "broken"]))
    def write_vms(self, folder, stem, kind):
        path = self.free(folder, stem, ".vms")
        parts = [self.free(folder, f"{stem}{end}", ".jpg") for end in ("(0,0)", "_map", "_macro")]
        if path and all(parts):
            lines = [
                f"{key}={part.name}"
                for key, part in zip(("ImageFile", "MapFile", "MacroImage"), parts, strict=True)
            ]
            path.write_bytes("\n".join(["[Virtual Microscope Specimen]", *lines]).encode())
            for part in parts:
                part.write_bytes(self.bytes_of(kind))

    @rule(folder=folders, stem=stems, kind=st.sampled_from(["good", "broken"]))
    def write_dicom(self, folder, stem, kind):
        """A series of two files, beside whatever other series the folder has; where a pipe lies, it
        would be refused for that.
        """
        paths = [self.free(folder, f"{stem}_{part}", ".dcm") for part in range(2)]
        if all(paths) and not os.path.lexists(self.scans / folder / PIPE):
            series = f"1.2.{self.count}".encode()
            for path in paths:
                dicom(path, series, self.bytes_of(kind))

    @rule(folder=st.sampled_from(FOLDERS[1:]), name=st.sampled_from(["moved", "moved again"]))
    def rename_a_folder(self, folder, name):
        source, target = self.scans / folder, self.scans / folder / ".." / name
        if source.is_dir() and not os.path.lexists(target):
            source.rename(target.resolve())

    @rule(looks=st.integers(1, 3), mount_point=st.booleans())
    def the_share_goes_and_comes_back(self, looks, mount_point):
        hidden = self.scans.rename(self.home / "hidden")
        if mount_point:
            self.scans.mkdir()
        for _ in range(looks):
            with suppress(OSError):
                self.intake.look()
        if self.backlog.is_open():
            self.work(forever=True)
        if mount_point:
            self.scans.rmdir()
        hidden.rename(self.scans)

    @rule(
        pick=picks,
        folder=folders,
        stem=stems,
        suffix=suffixes,
        how=st.sampled_from([shutil.copy2, os.link, os.symlink, os.rename]),
    )
    def copy_link_or_rename(self, pick, folder, stem, suffix, how):
        files, path = self.files(), self.free(folder, stem, suffix)
        if files and path:
            how(files[pick % len(files)], path)

    @rule(pick=picks, kind=st.sampled_from(["good", "broken"]))
    def replace(self, pick, kind):
        if files := self.files():
            path = files[pick % len(files)]
            path.unlink()
            path.write_bytes(self.bytes_of(kind))

    @rule(folder=folders)
    def link_to_a_folder_above_and_a_pipe(self, folder):
        for name, make in (("up", lambda path: path.symlink_to("..")), (PIPE, os.mkfifo)):
            if name == PIPE and [*(self.scans / folder).glob("*.dcm")]:
                continue
            path = self.scans / folder / name
            if path.parent.is_dir() and not os.path.lexists(path):
                make(path)

    @rule()
    def move_back_from_quarantine(self):
        for note in (self.scans / "quarantine").rglob("*.reason.txt"):
            path = note.with_name(note.name.removesuffix(".reason.txt"))
            back = self.scans / path.parent.relative_to(self.scans / "quarantine") / path.name
            if path.suffix in SUFFIXES and not os.path.lexists(back) and back.parent.is_dir():
                path.rename(back)
                note.unlink()

    @rule(times=st.integers(1, 4))
    def look(self, times):
        for _ in range(times):
            self.intake.look()

    @rule()
    def work_all(self):
        self.work()

    def work(self, forever=False):
        """Until nothing waits, or (`forever`, as the command does that watches) a slide is away."""
        stop = threading.Event()
        lab = RunContext(Config(), None, None, None, self.outbox, self.home, Provenance("test"))
        waits = lambda *_: stop.set()  # noqa: E731
        worker.work(lab, self.backlog, stop, forever=forever, ended=self.ended, waits=waits)

    def run_one(self, lab, path, mpp, root, announced=None):
        try:
            files = check_file(path)
            if is_broken(files):
                raise DamagedSlideError("broken", "copy it again")
        except SlideAwayError:
            raise
        except SlideError as error:
            failure = Failure("", "open", error.what, error.hint)
            return SlideOutcome(
                None,
                "failed",
                Counter(),
                Progress(),
                failure,
                damaged=isinstance(error, DamagedSlideError),
            )
        slide_id = content_id(files)
        status = "done before" if self.done[slide_id] else "done"
        self.done[slide_id] += status == "done"
        return SlideOutcome(SimpleNamespace(slide_id=slide_id), status, Counter(), Progress())

    def ended(self, job, report):
        if report.damaged:
            self.intake.put_aside(job.path, report.failure.what, report.failure.hint)

    @invariant()
    def no_byte_is_lost(self):
        """What has been written is there, in the folder or in quarantine, but for what a person has
        replaced.
        """
        here = {
            file.read_bytes(): file
            for file in self.scans.rglob("*")
            if file.is_file() and not file.is_symlink()
        }
        before = getattr(self, "before", {})
        missing = set(before) - set(here)
        assert len(missing) <= 1  # one replacement a step
        assert not missing or before[missing.pop()].exists()
        self.before = {
            data: path for data, path in here.items() if not path.name.endswith(".reason.txt")
        }

    def teardown(self):
        try:
            for _ in range(LOOKS):
                self.look(1)
            self.work()
            self.look(LOOKS)
            self.work()
            self.look(1)
            self.check_done()
        finally:
            self.patch.stop()
            self.outbox.close()
            shutil.rmtree(self.home)

    def check_done(self):
        states = {job.path: job for job in self.backlog.jobs()}
        for slide in self.intake.watcher.last.slides:
            good = not is_broken(slide.parts)
            whole = slide.path.suffix != ".mrxs" or any(
                part.name == "Slidedat.ini" for part in slide.parts
            )
            if good and whole:
                assert self.done[content_id(slide.parts)] == 1, (
                    f"{slide.path} done {self.done[content_id(slide.parts)]} times; "
                    f"{states.get(slide.path)}; {slide.parts} {self.messages[-12:]}"
                )
                assert states[slide.path].state == "done"
        assert set(self.done.values()) <= {0, 1}
        assert not self.backlog.is_open()
        self.check_quarantine()

    def check_quarantine(self):
        for path in (self.scans / "quarantine").rglob("*"):
            if path.suffix in SUFFIXES:
                assert is_broken([path]), f"{path} was no damaged slide"


TestIntake = Intake.TestCase
TestIntake.settings = settings(
    max_examples=15,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
