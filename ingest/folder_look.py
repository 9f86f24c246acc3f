"""The slides of a folder: what is there, and which files belong together.

A slide is known by its path here, never by its inode, which some mounts number anew at each look;
whether two paths are one slide is for its content to say.
"""

import fnmatch
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .part_lists import MRXS_LIST, mrxs_folder
from .slide import IMAGES, slide_suffixes, whole_slide_suffixes
from .slide_files import DICOM, files_of, series_at

STORE_FILES = {"state.db", "state.url"}
SIDE_PICTURE = re.compile(
    r"(?P<stem>.*?)[^a-z0-9]*"
    r"(label|macro|overview|thumb|thumbnail|preview|map|barcode|snapshot)[^a-z]*"
)


@dataclass(frozen=True, slots=True)
class ScannerConventions:
    """Of a scanner: over how many looks a file must not change, its marker, names of files that are
    being written, names of folders of fields of view, names of folders to leave alone, and a folder
    that is never looked into.
    """

    still_looks: int = 2
    marker: str = ".done"
    need_marker: bool = False
    ignore: tuple[str, ...] = (".*", "~*", "*.tmp", "*.part")
    fields: tuple[str, ...] = ("*.fields",)
    leave: tuple[str, ...] = ("quarantine",)
    store: Path | None = None


@dataclass(frozen=True, slots=True)
class SlideFiles:
    """A slide in a folder: the file to open, and all files of it. `set_id` is shared by fields of
    view of one folder.
    """

    path: Path
    parts: tuple[Path, ...]
    set_id: str | None = None


@dataclass(frozen=True, slots=True)
class FolderLook:
    """What a look at a folder found: its slides by name, what could not be seen and why, slides
    that are refused by their name and why, and pictures that belong to a slide with the slide's
    name.
    """

    slides: list[SlideFiles] = field(default_factory=list)
    unseen: dict[Path, str] = field(default_factory=dict)
    refused: dict[Path, str] = field(default_factory=dict)
    side_pictures: dict[Path, str] = field(default_factory=dict)


def look_at_folder(
    folder: Path, conventions: ScannerConventions | None = None, follow_links: bool = False
) -> FolderLook:
    """The slides of a folder and of those below it; files that are being written, pipes and devices
    are passed by.

    A link is passed by, or (`follow_links`) followed where it leads to what has not been found
    already: each folder and each file once. Nothing is raised: what cannot be seen is in the
    result.
    """
    lister = _Lister(conventions or ScannerConventions(), follow_links)
    lister.walk([folder])
    return lister.look


def slides_in(folder: Path, conventions: ScannerConventions | None = None) -> list[SlideFiles]:
    """The slides of a folder and of those below it, links followed once."""
    return look_at_folder(folder, conventions, follow_links=True).slides


def slide_at(path: Path, conventions: ScannerConventions | None = None) -> SlideFiles | None:
    """The slide that a file belongs to, by what lies in its folder; None where there is none."""
    lister = _Lister(conventions or ScannerConventions(), follow_links=False)
    lister.visit(path.parent)
    found = [slide for slide in lister.look.slides if path == slide.path]
    found += [slide for slide in lister.look.slides if path in slide.parts]
    return found[0] if found else None


def slides_beside(slide: SlideFiles) -> list[SlideFiles]:
    """The other slides of the folder that a slide lies in."""
    lister = _Lister(ScannerConventions(), follow_links=False)
    lister.visit(slide.path.parent)
    return [other for other in lister.look.slides if other.path != slide.path]


class _Lister:
    """One walk through folders."""

    def __init__(self, conventions: ScannerConventions, follow_links: bool):
        self.conventions = conventions
        self.follow_links = follow_links
        self.look = FolderLook()
        self.visited: set[str] = set()
        self.linked_folders: list[Path] = []
        self.linked_files: list[Path] = []

    def walk(self, todo: list[Path]) -> None:
        while todo:
            todo.extend(reversed(self.visit(todo.pop())))
            if not todo:
                todo = self.linked_folders[::-1]
                self.linked_folders = []
        if not self.linked_files:
            return
        known = {os.path.realpath(part) for slide in self.look.slides for part in slide.parts}
        new = [path for path in self.linked_files if os.path.realpath(path) not in known]
        for path in {os.path.realpath(path): path for path in reversed(new)}.values():
            self.add(SlideFiles(path, files_of(path)))

    def visit(self, folder: Path) -> list[Path]:
        """Takes the slides of one folder; gives the folders below it that are to be visited."""
        real = os.path.realpath(folder)
        if real in self.visited:
            return []
        self.visited.add(real)
        files, folders = self.entries(folder)
        names = {path.name for path in files}
        if MRXS_LIST in names or STORE_FILES & names or self.is_store(folder):
            return []
        slides = [path for path in files if is_slide_name(path)]
        if matches(folder.name, self.conventions.fields):
            for path in slides:
                if path.suffix.lower() in IMAGES:
                    self.add(SlideFiles(path, (path,), set_id(folder)))
            slides = [path for path in slides if path.suffix.lower() not in IMAGES]
        self.take(slides)
        data = {mrxs_folder(path) for path in slides if path.suffix.lower() == ".mrxs"}
        return [
            path for path in folders if path not in data and path.name not in self.conventions.leave
        ]

    def entries(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Its plain files and its folders, by name; links are kept for later, or passed by."""
        files = []
        folders = []
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.unseen(folder, error)
            return [], []
        for entry in found:
            path = Path(entry.path)
            if matches(entry.name, self.conventions.ignore):
                continue
            try:
                if entry.is_symlink():
                    self.keep_link(entry, path)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif entry.is_file(follow_symlinks=False):
                    files.append(path)
            except OSError as error:
                self.unseen(path, error)
        return files, folders

    def keep_link(self, entry: os.DirEntry[str], path: Path) -> None:
        if not self.follow_links:
            return
        if entry.is_dir() and path.name not in self.conventions.leave:
            self.linked_folders.append(path)
        elif entry.is_file() and is_slide_name(path):
            self.linked_files.append(path)

    def unseen(self, path: Path, error: OSError) -> None:
        self.look.unseen[path] = error.strerror or str(error)

    def is_store(self, folder: Path) -> bool:
        store = self.conventions.store
        return store is not None and os.path.realpath(folder) == os.path.realpath(store)

    def take(self, files: Sequence[Path]) -> None:
        """The slides that these files of one folder are."""
        found = dicom_slides(files)
        found += [
            SlideFiles(path, files_of(path))
            for path in files
            if path.suffix.lower() in whole_slide_suffixes() - {DICOM}
        ]
        parts = {part for slide in found for part in slide.parts}
        owners = {path: owner for path, owner in side_pictures(files).items() if path not in parts}
        self.look.side_pictures.update(owners)
        found += [
            SlideFiles(path, (path,))
            for path in files
            if path not in parts and path not in owners and path.suffix.lower() in IMAGES
        ]
        for slide in sorted(found, key=lambda slide: slide.path):
            self.add(slide)

    def add(self, slide: SlideFiles) -> None:
        try:
            str(slide.path).encode()
        except UnicodeEncodeError:
            self.look.refused[slide.path] = "its name is not UTF-8"
        else:
            self.look.slides.append(slide)


def is_slide_name(path: Path) -> bool:
    """Whether a file is taken for one of a slide: by its suffix, or as DICOM by its header."""
    return path.suffix.lower() in slide_suffixes() or series_at(path) is not None


def dicom_slides(files: Iterable[Path]) -> list[SlideFiles]:
    """The DICOM slides of a folder: the files of a series are one, and the largest of them is
    opened.
    """
    series: dict[str, list[Path]] = {}
    for path in files:
        uid = series_at(path)
        if uid or path.suffix.lower() == DICOM:
            series.setdefault(uid or path.name, []).append(path)
    return [SlideFiles(max(paths, key=size_of), tuple(paths)) for paths in series.values()]


def side_pictures(files: Sequence[Path]) -> dict[Path, str]:
    """Pictures that scanners and viewers lay beside a slide, with the slide's name: its label,
    macro, overview or thumbnail, or a picture of the same name.
    """
    whole = {
        path.stem.casefold(): path.name
        for path in files
        if path.suffix.lower() in whole_slide_suffixes()
    }
    names = {path.name.casefold(): path.name for path in files}
    stems = {path.stem.casefold(): path.name for path in files}
    owners: dict[Path, str] = {}
    for path in files:
        stem = path.stem.casefold()
        if path.suffix.lower() not in IMAGES:
            continue
        match = SIDE_PICTURE.fullmatch(stem)
        owner = names.get(stem) or whole.get(stem)
        if owner is None and match:
            owner = stems.get(match["stem"]) if match["stem"] else next(iter(whole.values()), None)
        if owner:
            owners[path] = owner
    return owners


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def set_id(folder: Path) -> str:
    """A digest of the folder's path: its name may be a patient's."""
    return hashlib.blake2b(os.fsencode(folder.absolute()), digest_size=10).hexdigest()
