"""The taught classes of a laboratory: a folder of files, each version kept."""

import re
from dataclasses import dataclass
from pathlib import Path

from classify.errors import DataError
from classify.model_card import CLASS_NAME, Model

from .taught_class import TaughtClass, read_taught, write_taught

SUFFIX = ".taught.json"
OFF = ".off"
DRAFT = ".draft"  # a class that cells are being marked for
TAUGHT_FOLDER = "taught"  # of a store


@dataclass(frozen=True, slots=True)
class TaughtLibrary:
    """A folder of taught classes. Of each name the newest version is in use, unless it is
    disabled.
    """

    folder: Path

    def versions(self) -> list[TaughtClass]:
        """All of them, by name and version.

        Raises:
            DataError: a file is no taught class.
        """
        found = [read_taught(path) for path in sorted(self.folder.glob(f"*{SUFFIX}"))]
        return sorted(found, key=lambda taught: (taught.name, taught.version))

    def newest(self) -> dict[str, TaughtClass]:
        return {taught.name: taught for taught in self.versions()}

    def names(self) -> tuple[str, ...]:
        """Names of all classes that are taught here, and of those that cells are marked for."""
        taught = [path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}")]
        names = {name.rpartition("-")[0] for name in taught}
        return tuple(sorted(names | {path.stem for path in self.folder.glob(f"*{DRAFT}")}))

    def draft(self, name: str) -> None:
        """Makes a name known, so that cells can be marked for it.

        Raises:
            DataError: it is no name of a class.
        """
        if not re.fullmatch(CLASS_NAME, name):
            raise DataError(
                f"{name!r} is no name of a class", "letters, digits, - and _, as hairy-cell"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}{DRAFT}").touch()

    def in_use(self, model: Model) -> list[TaughtClass]:
        """The newest versions that are not disabled.

        Raises:
            ModelError: one was taught on the features of another model.
        """
        names = [name for name in self.newest() if not self.is_disabled(name)]
        newest = self.newest()
        return [read_taught(self.path_of(newest[name]), model) for name in names]

    def add(self, taught: TaughtClass) -> TaughtClass:
        """Keeps a class as the next version of its name, and returns it."""
        before = self.newest().get(taught.name)
        version = before.version + 1 if before else 1
        kept = taught.model_copy(update={"version": version})
        write_taught(kept, self.path_of(kept))
        return kept

    def path_of(self, taught: TaughtClass) -> Path:
        return self.folder / f"{taught.name}-{taught.version}{SUFFIX}"

    def is_disabled(self, name: str) -> bool:
        return (self.folder / f"{name}{OFF}").exists()

    def switch(self, name: str, on: bool) -> None:
        """Uses a class, or no longer.

        Raises:
            DataError: there is none of this name.
        """
        if name not in self.newest():
            known = ", ".join(self.newest()) or "none"
            raise DataError(f"{self.folder}: no taught class {name}", f"there are: {known}")
        mark = self.folder / f"{name}{OFF}"
        if on:
            mark.unlink(missing_ok=True)
        else:
            mark.touch()


def taught_at(path: Path, model: Model) -> list[TaughtClass]:
    """The taught classes of a file, or those in use in a folder of them.

    Raises:
        DataError: there is none.
        ModelError: one was taught on the features of another model.
    """
    if not path.is_dir():
        return [read_taught(path, model)]
    found = TaughtLibrary(path).in_use(model)
    if not found:
        raise DataError(f"{path}: no taught class here", f"their names end in {SUFFIX}")
    return found
