"""Where the zarr stores of a store's slides lie: in its folder, or in a bucket of object storage
that the folder names (`s3://BUCKET/PREFIX`, through fsspec).

Credentials and endpoint are those of the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_ENDPOINT_URL and so on), and are kept nowhere.
"""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

import zarr

from ingest import StoreError
from stream.store.private_files import write_private_file

RESULTS_FILE = "results.url"
BUCKET_WAIT_S = 600.0  # how long a run waits for a bucket that went away
_PAUSE_S = 1.0
_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w.=-]+)*")
_HINT = "check the bucket and AWS_ENDPOINT_URL, then the same command goes on"
# an answer that does not come is asked for again here, and not by each layer below
_OPTIONS: dict[str, Any] = {
    "config_kwargs": {
        "connect_timeout": 5,
        "read_timeout": 30,
        "retries": {"total_max_attempts": 2},
    },
    "use_listings_cache": False,
}
Obtained = TypeVar("Obtained")


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """The zarr store of a slide in a bucket. It answers as a `Path` to what is asked of one."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def stem(self) -> str:
        """The slide's id."""
        return Path(self.url).stem

    def is_dir(self) -> bool:
        """Whether there is a store.

        Raises:
            StoreError: the bucket does not answer.
        """
        return bool(answered(self.url, lambda: bucket_files().exists(f"{self.url}/zarr.json")))


StorePlace = Path | BucketPlace


def results_of(folder: Path) -> str:
    """The URL below which the results of a store lie; empty where its folder has them."""
    path = folder / RESULTS_FILE
    return path.read_text().strip() if path.is_file() else ""


def use_bucket(folder: Path, url: str) -> None:
    """Makes a folder a store whose results lie in a bucket; the folder keeps the URL.

    Raises:
        StoreError: the URL is none of a bucket, or the store has results elsewhere.
    """
    url = url.rstrip("/")
    if not _URL.fullmatch(url):
        raise StoreError(
            "store.results: no URL of a bucket",
            "state it as s3://BUCKET/PREFIX, with credentials in the environment alone",
        )
    if find_spec("s3fs") is None:
        raise StoreError(
            "the results of this store are on object storage", "pip install 'cytostream[s3]'"
        )
    known = results_of(folder)
    if known == url:
        return
    if known or any(folder.glob("*.zarr")):
        where = known or "its folder"
        raise StoreError(
            f"{folder}: its results are in {where}",
            "leave out store.results, or choose another --store",
        )
    write_private_file(folder / RESULTS_FILE, f"{url}\n".encode())


def store_path(folder: Path, slide_id: str) -> StorePlace:
    """Where the zarr store of a slide lies, or is to lie."""
    url = results_of(folder)
    name = f"{slide_id}.zarr"
    return BucketPlace(f"{url}/{name}") if url else folder / name


def store_paths(folder: Path) -> list[StorePlace]:
    """The zarr stores of all slides, by their ids.

    Raises:
        StoreError: the bucket does not answer.
    """
    url = results_of(folder)
    if not url:
        return [*sorted(folder.glob("*.zarr"))]
    names = answered(url, lambda: bucket_files().glob(f"{url}/*.zarr"))
    return [BucketPlace(f"{url}/{Path(name).name}") for name in sorted(names)]


@dataclass(frozen=True, slots=True)
class BucketObject:
    """An object of a store's results: its path below them, its bytes, and the time in ns when it
    was written.
    """

    path: str
    size_bytes: int
    changed_ns: int


def bucket_objects(folder: Path) -> list[BucketObject]:
    """What a bucket holds of the slides of a store, by path; nothing where its folder has them.

    Raises:
        StoreError: the bucket does not answer.
    """
    url = results_of(folder)
    if not url:
        return []
    found = answered(url, lambda: bucket_files().find(url, detail=True))
    base = url.removeprefix("s3://")
    objects = []
    for name, facts in sorted(found.items()):
        path = name.removeprefix(f"{base}/")
        if path.partition("/")[0].endswith(".zarr"):
            changed_ns = int(facts["LastModified"].timestamp() * 1000) * 1_000_000
            objects.append(BucketObject(path, int(facts["size"]), changed_ns))
    return objects


def fetch_object(folder: Path, one: BucketObject, target: Path) -> None:
    """Copies an object of a store's results to a file, which gets its time.

    Raises:
        StoreError: the bucket does not answer.
        FileNotFoundError: it has been removed.
    """
    url = f"{results_of(folder)}/{one.path}"

    def get() -> bool:
        try:
            bucket_files().get_file(url, str(target))
        except FileNotFoundError:
            return False
        return True

    if not answered(url, get):
        raise FileNotFoundError(url)
    os.utime(target, ns=(one.changed_ns, one.changed_ns))


def remove_results(place: StorePlace) -> None:
    """Removes the zarr store of a slide, where there is one.

    Raises:
        StoreError: the bucket does not answer.
    """
    if isinstance(place, Path):
        shutil.rmtree(place, ignore_errors=True)
    elif place.is_dir():
        answered(place.url, lambda: bucket_files().rm(place.url, recursive=True))


def open_group(place: StorePlace, mode: Any) -> zarr.Group:
    """The zarr group of a place; errors as they come."""
    if isinstance(place, Path):
        return zarr.open_group(place, mode=mode, zarr_format=3)
    return zarr.open_group(place.url, mode=mode, zarr_format=3, storage_options=_OPTIONS)


def patiently(place: StorePlace, do: Callable[[], Obtained]) -> Obtained:
    """Does it; in a bucket that does not answer, again and again for `BUCKET_WAIT_S`.

    Raises:
        StoreError: the bucket did not come back, or refuses.
        OSError: what a folder raises.
    """
    if isinstance(place, Path):
        return do()
    until = monotonic() + BUCKET_WAIT_S
    while True:
        try:
            return answered(place.url, do)
        except BucketAwayError:
            if monotonic() > until:
                raise
        sleep(_PAUSE_S)


def reading(place: StorePlace, do: Callable[[], Obtained]) -> Obtained:
    """What is read; a bucket that does not answer is no reason to wait, for a page.

    Raises:
        StoreError: the bucket does not answer.
    """
    return do() if isinstance(place, Path) else answered(place.url, do)


class BucketAwayError(StoreError):
    """A bucket that does not answer now."""


def answered(url: str, do: Callable[[], Obtained]) -> Obtained:
    """What a bucket gives.

    Raises:
        BucketAwayError: it does not answer.
        StoreError: it refuses.
    """
    from aiohttp import ClientError
    from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

    try:
        return do()
    except (PermissionError, NoCredentialsError, PartialCredentialsError) as error:
        raise StoreError(f"{url}: access is refused: {error}", "check the credentials") from error
    except (BotoCoreError, ClientError, OSError) as error:
        raise BucketAwayError(f"{url}: does not answer: {error}", _HINT) from error


def bucket_files() -> Any:
    """The files of object storage; fsspec keeps one a process."""
    import s3fs

    return s3fs.S3FileSystem(**_OPTIONS)
