"""Events as lines of a file, each once: what is in the file already is not written again."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from stream.config import Config
from stream.events import EventError, from_line, to_line
from stream.store import PRIVATE_FILE, OutboxRecord, make_private_file, make_private_folder

from .sink import SinkError, SinkFencedError

_BEGIN = b'{"id": "'


class JsonlSink:
    """Appends to `path`, a batch at a time, on disk when `send` returns.

    A torn last line (from a crash in the middle of a write) is cut off on opening. One process at a
    time holds the file, from its first `send` to `close`.
    """

    usage = "jsonl:PATH"

    @classmethod
    def open(cls, target: str, config: Config, store_id: str) -> "JsonlSink":
        """The sink of a path.

        Raises:
            SinkError: the file cannot be opened, or holds something else than events.
        """
        return cls(Path(target))

    def __init__(self, path: Path):
        """Makes the file where there is none.

        Raises:
            SinkError: it cannot be opened, or holds something else than events.
        """
        self.path = path.absolute()
        self.name = f"jsonl:{self.path}"
        self._held: FileIO | None = None
        self._ids: set[str] = set()
        with self._errors():
            make_private_folder(self.path.parent)
            make_private_file(self.path)
            with self.path.open("r+b") as lines:
                if not self._is_torn(first := lines.readline()):
                    self._id(1, first)

    def place(self) -> None:
        """A file does not lose what is on the disk."""

    def send(self, batch: Sequence[OutboxRecord]) -> None:
        file = self._file()
        new = {record.id: record.event for record in batch if record.id not in self._ids}
        if new:
            lines = "".join(f"{to_line(event)}\n" for event in new.values())
            self._append(file, lines.encode())
            self._ids.update(new)

    def close(self) -> None:
        if self._held:
            self._held.close()
            self._held = None

    def _file(self) -> FileIO:
        """The open file, which this process alone writes."""
        if self._held:
            return self._held
        with self._errors():
            file = FileIO(
                os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, PRIVATE_FILE), "r+"
            )
            try:
                self._lock(file)
                self._ids = self._read_ids(file)
            except BaseException:
                file.close()
                raise
        self._held = file
        return file

    def _append(self, file: FileIO, block: bytes) -> None:
        """All of the block, or none of it."""
        with self._errors():
            size = os.fstat(file.fileno()).st_size
            try:
                while block:  # an unbuffered write may take only a part
                    block = block[file.write(block) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise

    def _lock(self, file: FileIO) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SinkFencedError(
                f"{self.path} is being written by another run", "wait for it, or give another file"
            ) from error

    def _read_ids(self, file: FileIO) -> set[str]:
        ids = set()
        whole = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if self._is_torn(line):
                    file.truncate(whole)
                else:
                    ids.add(self._id(number, line))
                    whole += len(line)
        return ids

    @staticmethod
    def _is_torn(line: bytes) -> bool:
        """Nothing, or the beginning of a line of ours, and nobody else's text."""
        return not line.endswith(b"\n") and (line.startswith(_BEGIN) or _BEGIN.startswith(line))

    def _id(self, number: int, line: bytes) -> str:
        try:
            return from_line(line).id
        except EventError as error:
            hint = "give a new file, or one that holds only events"
            raise SinkError(f"{self.path}, line {number}: {error.what}", hint) from error

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = "free some space, or give another file; the events wait in the store"
            raise SinkError(f"{self.path}: {error.strerror or error}", hint) from error
