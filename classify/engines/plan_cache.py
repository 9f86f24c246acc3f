"""Compiled engines on disk: found again by what they were built from, never half written, built
once for two processes.
"""

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from classify.errors import EngineError

RECIPE = 2  # raise it when the same key would give another plan


@dataclass(frozen=True, slots=True)
class PlanKey:
    """What a plan depends on. `model` is the sha256 of the graph; `target` a GPU's name or its
    compute capability (sm_89).
    """

    model: str
    library: str
    target: str
    precision: str
    batch: int
    output: str
    recipe: int = RECIPE

    @property
    def file_name(self) -> str:
        words = (
            self.model[:12],
            self.library,
            self.target,
            self.precision,
            f"b{self.batch}",
            self.output,
        )
        return re.sub(r"[^\w.-]+", "_", "-".join(words)) + ".plan"


class BrokenPlanError(Exception):
    """A file that is there and is not the plan that its name says."""


def read_plan(path: Path, key: PlanKey) -> bytes:
    """The plan in a file.

    Raises:
        FileNotFoundError: there is none.
        BrokenPlanError: it is of another key, cut short or changed.
    """
    head, _, plan = path.read_bytes().partition(b"\n")
    try:
        facts = json.loads(head)
    except ValueError as error:
        raise BrokenPlanError("no header") from error
    if facts != header(key, plan):
        raise BrokenPlanError("not what its header says, or built from something else")
    return plan


def write_plan(path: Path, key: PlanKey, plan: bytes) -> None:
    """Write under another name, then rename: a reader sees the whole file or none."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(json.dumps(header(key, plan)).encode() + b"\n" + plan)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def header(key: PlanKey, plan: bytes) -> dict[str, Any]:
    return asdict(key) | {"sha256": sha256(plan).hexdigest()}


class PlanStore:
    """A folder of plans, and others (read only) that are looked in first. `tell` gets a line where
    a plan had to be replaced.
    """

    def __init__(
        self,
        folder: Path,
        beside: tuple[Path, ...] = (),
        tell: Callable[[str], None] = lambda line: None,
    ):
        self.folder = folder
        self.beside = beside
        self.tell = tell

    def get(self, key: PlanKey, build: Callable[[], bytes]) -> bytes:
        """The plan, built if there is none that is whole.

        Two processes that want the same plan build it once; the other one waits. A lock ends with
        its process.

        Raises:
            EngineError: it cannot be built, or the folder cannot be written.
        """
        for folder in (*self.beside, self.folder):
            if plan := self.look(folder / key.file_name, key):
                return plan
        try:
            with self.locked(key):
                return self.look(self.folder / key.file_name, key, quiet=True) or self.built(
                    key, build
                )
        except OSError as error:
            raise EngineError(
                f"{self.folder}: no engine can be kept here: {error}", "make the folder writable"
            ) from error

    def look(self, path: Path, key: PlanKey, quiet: bool = False) -> bytes | None:
        try:
            return read_plan(path, key)
        except FileNotFoundError:
            return None
        except (OSError, BrokenPlanError) as error:
            if not quiet:
                self.tell(f"{path}: broken engine ({error}); building it again")
            return None

    def built(self, key: PlanKey, build: Callable[[], bytes]) -> bytes:
        plan = build()
        write_plan(self.folder / key.file_name, key, plan)
        return plan

    def kernels(self, name: str) -> bytes:
        """What `keep_kernels` has kept under a name; nothing where that is not there."""
        try:
            return self.kernel_path(name).read_bytes()
        except OSError:
            return b""

    def keep_kernels(self, name: str, kernels: bytes) -> None:
        """Keep what a library has compiled beside its plan; it does without where that fails."""
        path = self.kernel_path(name)
        if kernels == self.kernels(name):
            return
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(kernels)
            part.replace(path)

    def kernel_path(self, name: str) -> Path:
        return self.folder / (re.sub(r"[^\w.-]+", "_", name) + ".kernels")

    def rebuilt(self, key: PlanKey, build: Callable[[], bytes]) -> bytes:
        """A new plan, whatever is there: for one that is whole but that the library refuses."""
        self.tell(f"{key.file_name}: {key.library} refuses this engine; building it again")
        with self.locked(key):
            return self.built(key, build)

    @contextmanager
    def locked(self, key: PlanKey) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{key.file_name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
