"""The models of a laboratory: a folder a model below one folder, each checked before it is taken
in, and which of them new slides are read with.
"""

import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import ModelError
from .model_card import (
    CARD,
    CLASS_NAME,
    GRAPH,
    SHEET_FILE,
    SHORT_NAMES,
    TABLES_FILE,
    Card,
    Model,
    load_model,
    read_card,
)

MODELS_FOLDER = "models"  # of a store
IN_USE_FILE = "in-use.json"
# of each part of a model: what an import takes of it at most
PART_BYTES = {CARD: 2 << 20, GRAPH: 1 << 30, TABLES_FILE: 256 << 20, SHEET_FILE: 32 << 20}
NEEDED = (CARD, GRAPH, TABLES_FILE)
MOST_ENTRIES = 256
MOST_TABLE_BYTES = 1 << 30  # of all tables, unpacked
_COPY_BYTES = 1 << 20


class UsedModel(BaseModel):
    """A model that new slides are read with: its name, its id, who chose it and when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    model_id: str
    by: str = ""
    at: str = ""


class ModelsInUse(BaseModel):
    """By kind (white, red): the models that were in use one after another, the last one now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    white: tuple[UsedModel, ...] = ()
    red: tuple[UsedModel, ...] = ()

    def of(self, kind: str) -> tuple[UsedModel, ...]:
        """Those of one kind; none where nobody has chosen any: the shipped one is in use then."""
        return self.red if kind == "red" else self.white


def kind_of(card: Card) -> str:
    """What cells a model is for, by the crops that it is made for: white or red."""
    shipped = read_card(SHORT_NAMES["white"])
    same = (card.crop_um, card.crop_px) == (shipped.crop_um, shipped.crop_px)
    return "white" if same else "red"


@dataclass(frozen=True, slots=True)
class ModelLibrary:
    """The imported models of a folder, beside the shipped ones (`white`, `red`)."""

    folder: Path

    def names(self) -> tuple[str, ...]:
        """The imported ones."""
        return tuple(sorted(path.parent.name for path in self.folder.glob(f"*/{CARD}")))

    def find(self, name: str | Path) -> Path:
        """The folder of an imported model's name, of a shipped one's, or a folder itself.

        Raises:
            ModelError: it is none of these.
        """
        named = str(name)
        if named in self.names():
            return self.folder / named
        folder = SHORT_NAMES.get(named, Path(name))
        if (folder / CARD).is_file():
            return folder
        known = ", ".join([*SHORT_NAMES, *self.names()])
        raise ModelError(f"{named}: no model of this name, nor a folder of one", f"known: {known}")

    def add(
        self, source: Path, name: str = "", check: Callable[[Path], None] = lambda _: None
    ) -> Path:
        """Takes a model in, from a folder or a zip file, under a name (of the card without one),
        once `check` of its folder has raised nothing.

        Nothing of it is run or trusted: only the files of a model are taken, each up to a size, no
        path leads out of it, and no file outside is referred to; digests, shapes and numbers are
        checked.

        Raises:
            ModelError: it is no model, or not a whole one; a model of this name is there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=self.folder, prefix=".new-") as scratch:
            staged = Path(scratch) / "model"
            staged.mkdir()
            with _opened_parts(source) as parts:
                for part in PART_BYTES:
                    if part in parts:
                        _copy_part(parts[part], staged / part)
            model = checked_model(staged)
            chosen = name or re.sub(r"[^A-Za-z0-9]+", "-", model.card.name).strip("-")[:64]
            self.check_name(chosen, model)
            check(staged)
            target = self.folder / chosen
            if not target.exists():
                staged.replace(target)
        return target

    def check_name(self, name: str, model: Model) -> None:
        """Raises ModelError where a model cannot be kept under a name."""
        if not re.fullmatch(CLASS_NAME, name) or name in SHORT_NAMES:
            raise ModelError(f"{name!r} cannot be a model's name", "name it with --name")
        if name in self.names() and load_model(self.folder / name).model_id != model.model_id:
            raise ModelError(f"{name}: another model has this name", "choose one with --name")

    def in_use(self) -> ModelsInUse:
        """Which models new slides are read with, and were before.

        Raises:
            ModelError: the file that says so cannot be read.
        """
        path = self.folder / IN_USE_FILE
        try:
            return ModelsInUse.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return ModelsInUse()
        except (OSError, ValidationError) as error:
            raise ModelError(
                f"{path}: cannot be read: {error}", "restore it, or choose with `cytostream models`"
            ) from error

    def folder_in_use(self, kind: str) -> Path:
        """The folder of the model that new slides are read with.

        Raises:
            ModelError: it is gone.
        """
        used = self.in_use().of(kind)
        return self.find(used[-1].name) if used else SHORT_NAMES[kind]

    def folder_of(self, model_id: str) -> Path | None:
        """The folder of a model by its id; None where it is neither shipped nor imported."""
        for folder in (*SHORT_NAMES.values(), *(self.folder / name for name in self.names())):
            if read_card(folder).model_id == model_id:
                return folder
        return None

    def use(self, name: str, by: str, at: str) -> UsedModel:
        """Reads new slides with a model from here on: an imported or a shipped one.

        Raises:
            ModelError: there is none of this name, or it is not the one that its card names.
        """
        if name not in SHORT_NAMES and name not in self.names():
            raise ModelError(
                f"{name}: no imported model", "take it in with `cytostream models import`"
            )
        model = load_model(self.find(name))
        kind = kind_of(model.card)
        used = UsedModel(name=name, model_id=model.model_id, by=by, at=at)
        before = self.in_use()
        past = before.of(kind) or (self.first(kind),)
        self._write(before.model_copy(update={kind: (*past, used)}))
        return used

    def first(self, kind: str) -> UsedModel:
        """What is in use before anyone has chosen: the shipped model."""
        return UsedModel(name=kind, model_id=read_card(SHORT_NAMES[kind]).model_id)

    def before(self, kind: str) -> UsedModel:
        """The model that was in use before the present one.

        Raises:
            ModelError: there was none.
        """
        past = self.in_use().of(kind)
        if len(past) < 2:
            raise ModelError("no other model was in use before", "see `cytostream models list`")
        return past[-2]

    def put_back(self, before: ModelsInUse) -> None:
        """Makes it as it was, where a change could not be written into the audit trail."""
        self._write(before)

    def _write(self, used: ModelsInUse) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / IN_USE_FILE
        new = path.with_suffix(".new")
        new.write_text(used.model_dump_json(indent=1) + "\n")
        new.replace(path)


def checked_model(folder: Path) -> Model:
    """A model of unknown origin: its digests are right, its tables are as large as the card says
    and hold numbers, and its graph refers to no file outside.

    Raises:
        ModelError: it is not so.
    """
    for part in NEEDED:
        if not (folder / part).is_file():
            raise ModelError(f"no {part} in it", "give the folder that `cytostream export` wrote")
    _check_tables(folder / TABLES_FILE)
    try:
        model = load_model(folder)
    except ModelError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, MemoryError) as error:
        raise ModelError(f"{TABLES_FILE}: cannot be read: {error}", "export it again") from error
    px = model.card.image_px
    draws = len(model.card.sigmas)
    classes = len(model.card.classes)
    shapes = {
        "sigma": (draws,),
        "noise": (draws, 3, px, px),
        "weight": (draws,),
        "temperature": (draws,),
        "bias": (classes,),
        "mean": (draws, classes),
        "spread": (draws, classes),
    }
    for name, shape in shapes.items():
        values = getattr(model, name)
        if values.shape != shape or not np.isfinite(values).all():
            raise ModelError(
                f"{TABLES_FILE}: {name} is not {shape} numbers, as the card says", "export it again"
            )
    return model


def _check_tables(path: Path) -> None:
    """Raises ModelError where a file of tables unpacks to more than is sensible, or holds Python
    objects.
    """
    try:
        with zipfile.ZipFile(path) as tables:
            unpacked = sum(entry.file_size for entry in tables.infolist())
            names = [entry.filename for entry in tables.infolist()]
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise ModelError(f"{path.name}: no file of tables: {error}", "export it again") from error
    if unpacked > MOST_TABLE_BYTES or not all(name.endswith(".npy") for name in names):
        raise ModelError(f"{path.name}: not the tables of a model", "export it again")


@contextmanager
def _opened_parts(source: Path) -> "Iterator[Mapping[str, IO[bytes]]]":
    """The files of a model in a folder or a zip file, by name."""
    if source.is_dir():
        with _open_folder(source) as parts:
            yield parts
    else:
        try:
            with zipfile.ZipFile(source) as archive:
                entries = _entries_of(archive)
                yield {name: archive.open(entry) for name, entry in entries.items()}
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise ModelError(
                f"{source}: neither a folder nor a zip file that can be read: {error}",
                "give the folder that `cytostream export` wrote, or a zip file of it",
            ) from error


@contextmanager
def _open_folder(source: Path) -> "Iterator[Mapping[str, IO[bytes]]]":
    parts: dict[str, IO[bytes]] = {}
    try:
        for part in PART_BYTES:
            try:
                number = os.open(source / part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ModelError(
                    f"{source / part}: {error.strerror}, or a link", "give the files themselves"
                ) from error
            if not stat.S_ISREG(os.fstat(number).st_mode):
                os.close(number)
                raise ModelError(f"{source / part}: no file", "give the files themselves")
            parts[part] = os.fdopen(number, "rb")
        yield parts
    finally:
        for part_file in parts.values():
            part_file.close()


def _entries_of(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The entries of a zip file that are parts of a model, all in one folder of it.

    Raises:
        ModelError: a path leads out of it, an entry is a link, encrypted or too large, or there are
            too many.
    """
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        raise ModelError(f"{len(entries)} files in it are too many", "zip the model's folder alone")
    found: dict[str, zipfile.ZipInfo] = {}
    folders = set()
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in entry.filename:
            raise ModelError(
                f"{entry.filename!r} leads out of the zip file", "do not use this file"
            )
        if stat.S_ISLNK(entry.external_attr >> 16) or entry.flag_bits & 1:
            raise ModelError(
                f"{entry.filename!r} is a link or encrypted", "zip the files themselves"
            )
        if path.name not in PART_BYTES or entry.is_dir():
            continue
        if path.name in found:
            raise ModelError(f"{path.name} is in it twice", "zip one model's folder alone")
        if entry.file_size > PART_BYTES[path.name]:
            raise ModelError(f"{path.name} is too large for a model", "do not use this file")
        found[path.name] = entry
        folders.add(path.parent)
    if len(folders) > 1:
        raise ModelError("several folders in it hold parts of a model", "zip one model's folder")
    return found


def _copy_part(source: IO[bytes], target: Path) -> None:
    """Copies a file up to what is sensible for it, whatever size it was said to have.

    Raises:
        ModelError: it is larger, or damaged.
    """
    left = PART_BYTES[target.name]
    try:
        with target.open("xb") as out:
            while piece := source.read(_COPY_BYTES):
                left -= len(piece)
                if left < 0:
                    raise ModelError(f"{target.name} is too large for a model", "do not use it")
                out.write(piece)
    except (OSError, zipfile.BadZipFile, EOFError, ValueError) as error:
        raise ModelError(f"{target.name}: cannot be read: {error}", "zip it again") from error
