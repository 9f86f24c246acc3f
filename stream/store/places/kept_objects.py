"""Small objects that are written once and stay: files of a folder, or objects below
`s3://BUCKET/PREFIX`.
"""

from pathlib import Path

from ingest import StoreError
from stream.store.private_files import write_private_file

from .result_place import answered, bucket_files

_HINT = "check the folder, and who may write there"


class KeptObjects:
    """The objects of one place, by names as `FOLDER/NAME`."""

    def __init__(self, place: str):
        self.place = place.rstrip("/")
        self._folder = None if place.startswith("s3://") else Path(place).expanduser()

    def put(self, name: str, content: bytes) -> None:
        """Writes an object, whole or not at all; one that is there stays.

        Raises:
            StoreError: it cannot be written now.
        """
        if self._folder is None:
            url = f"{self.place}/{name}"
            answered(url, lambda: bucket_files().exists(url) or bucket_files().pipe(url, content))
            return
        path = self._folder / name
        try:
            if not path.exists():
                begun = path.with_name(f".{path.name}")
                write_private_file(begun, content)
                begun.rename(path)
        except OSError as error:
            raise StoreError(f"{path}: cannot be written: {error.strerror}", _HINT) from error

    def names(self) -> list[str]:
        """The names of all objects, in order.

        Raises:
            StoreError: they cannot be listed now.
        """
        if self._folder is None:
            files = bucket_files()
            files.invalidate_cache()
            below = self.place.removeprefix("s3://")
            found = answered(self.place, lambda: files.find(below))
            return sorted(one.removeprefix(f"{below}/") for one in found)
        try:
            paths = [path for path in self._folder.glob("*/[!.]*") if path.is_file()]
        except OSError as error:
            raise StoreError(f"{self.place}: cannot be read: {error.strerror}", _HINT) from error
        return sorted(path.relative_to(self._folder).as_posix() for path in paths)

    def read(self, name: str) -> bytes:
        """The content of an object.

        Raises:
            StoreError: it cannot be read now.
        """
        if self._folder is None:
            url = f"{self.place}/{name}"
            content: bytes = answered(url, lambda: bucket_files().cat_file(url))
            return content
        try:
            return (self._folder / name).read_bytes()
        except OSError as error:
            raise StoreError(f"{name}: cannot be read: {error.strerror}", _HINT) from error
