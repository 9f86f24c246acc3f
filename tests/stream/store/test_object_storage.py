"""Results in a bucket: an S3 server of this machine, of the package moto."""

import threading

import numpy as np
import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from ingest import StoreError
from stream.keeping import back_up, backup, check_backup, restore
from stream.store import (
    KeptObjects,
    SlideStore,
    remove_results,
    store_path,
    store_paths,
    use_bucket,
)
from stream.store.places import BucketPlace, result_place
from stream.store.places.result_place import patiently
from tests.stores import Filled

pytest.importorskip("s3fs", reason="needs the extra s3")
moto = pytest.importorskip("moto.server", reason="needs moto and flask")
URL = "s3://results/lab-1"


class S3Server:
    """Keeps its buckets while it is stopped."""

    def __init__(self):
        self.app = moto.DomainDispatcherApplication(moto.create_backend_app)
        self.port = 0
        self.start()

    def start(self):
        self.server = make_server("127.0.0.1", self.port, self.app, True, request_handler=Quiet)
        self.port = self.server.port
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Quiet(WSGIRequestHandler):
    """Logs nothing."""

    def log(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """The files of an empty bucket `results`."""
    import s3fs

    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
    }.items():
        monkeypatch.setenv(name, value)
    files = s3fs.S3FileSystem(**result_place._OPTIONS)
    if files.exists("results"):
        files.rm("results", recursive=True)
    files.mkdir("results")
    return files


def filled(store, url=""):
    store.mkdir(parents=True)
    if url:
        use_bucket(store, url)
    made = Filled(store)
    made.add(20)
    return made


def test_a_bucket_holds_what_a_folder_would(bucket, tmp_path):
    made = [filled(tmp_path / "a" / "store"), filled(tmp_path / "b" / "store", URL)]
    for one in made:
        one.done().writer.close()
        one.close()
    here, there = (SlideStore.open(store_path(one.store, one.slide.slide_id)) for one in made)
    assert there.facts == here.facts and there.rows == 20
    assert {*here.group} == {*there.group}
    for name in here.group:
        np.testing.assert_array_equal(there.read(name), here.read(name))
    assert store_paths(made[1].store) == [BucketPlace(f"{URL}/{made[1].slide.slide_id}.zarr")]
    assert list(made[1].store.glob("*.zarr")) == []
    remove_results(there.path)
    assert bucket.find("results") == [] and not there.path.is_dir()


def test_a_backup_holds_the_bucket_and_is_restored_as_files(bucket, tmp_path, monkeypatch):
    made = filled(tmp_path / "store", URL)
    made.done().writer.close()
    made.close()
    bucket.pipe(f"{URL}/notes.txt", b"of others")
    first = back_up(made.store, tmp_path / "kept")
    changed = f"{made.slide.slide_id}.zarr/zarr.json"
    bucket.pipe(f"{URL}/{changed}", bucket.cat(f"{URL}/{changed}") + b" ")
    fetch, fetched = backup.fetch_object, []

    def fetch_and_say(store, one, target):
        fetched.append(one.path)
        fetch(store, one, target)

    monkeypatch.setattr(backup, "fetch_object", fetch_and_say)
    again = back_up(made.store, tmp_path / "kept")
    assert fetched == [changed], "the others are kept already"
    assert again.files == first.files > 10 and first.new_bytes > again.new_bytes
    assert check_backup(tmp_path / "kept").files == again.files
    restore(tmp_path / "kept", tmp_path / "restored")
    there, here = (
        SlideStore.open(store_path(folder, made.slide.slide_id))
        for folder in (made.store, tmp_path / "restored")
    )
    assert here.path == tmp_path / "restored" / f"{made.slide.slide_id}.zarr"
    assert {*here.group} == {*there.group}
    for name in there.group:
        np.testing.assert_array_equal(here.read(name), there.read(name))
    assert not (tmp_path / "restored" / "notes.txt").exists()


def test_a_backup_says_that_the_bucket_does_not_answer(bucket, server, tmp_path):
    made = filled(tmp_path / "store", URL)
    made.done().writer.close()
    made.close()
    server.stop()
    try:
        with pytest.raises(StoreError, match=f"{URL}: does not answer"):
            back_up(made.store, tmp_path / "kept")
    finally:
        server.start()


def test_ten_thousand_cells_are_fewer_than_a_hundred_objects(bucket):
    """Of 3 large columns and 10 small ones, and 15 of red cells, each with its description."""
    store = SlideStore.create(BucketPlace(f"{URL}/s1.zarr"), {})
    store.write(
        0, {"label": np.ones(10_000, np.uint8), "crop": np.ones((10_000, 2, 2, 3), np.uint8)}
    )
    store.put("reds/crop", np.ones((300, 4, 4, 3), np.uint8))
    counts = {
        name: len(bucket.find(f"{URL}/s1.zarr/{name}")) for name in ("crop", "label", "reds/crop")
    }
    assert store.rows == 10_000 and counts == {"crop": 11, "label": 2, "reds/crop": 2}
    assert 3 * counts["crop"] + 10 * counts["label"] + 15 * counts["reds/crop"] + 5 < 100


def test_a_bucket_that_goes_away_delays_and_loses_nothing(bucket, server, tmp_path, monkeypatch):
    waited = threading.Event()
    monkeypatch.setattr(result_place, "sleep", lambda _: waited.set())
    made = filled(tmp_path / "store", URL)
    server.stop()
    writing = threading.Thread(target=made.writer.write, kwargs={"final": True})
    writing.start()
    try:
        assert waited.wait(60)
        with pytest.raises(StoreError, match="does not answer"):  # a page does not wait
            made.writer.store.read("crop")
    finally:
        server.start()
    writing.join(60)
    kept = SlideStore.open(made.writer.store.path)
    assert kept.rows == 20 == len(kept.read("crop")) and made.writer.waiting == 0
    made.writer.close()
    made.close()


def test_a_bucket_that_refuses_is_not_waited_for():
    asked = []

    def refuse():
        asked.append(1)
        raise PermissionError("Forbidden")

    with pytest.raises(StoreError, match="access is refused"):
        patiently(BucketPlace(URL), refuse)
    assert len(asked) == 1


def test_a_bucket_that_stays_away_ends_the_run_in_order(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(result_place, "monotonic", lambda: now[0])
    monkeypatch.setattr(result_place, "sleep", lambda s: now.__setitem__(0, now[0] + 100 * s))

    def away():
        raise ConnectionError("no route")

    with pytest.raises(StoreError, match="no route"):
        patiently(BucketPlace(URL), away)
    assert now[0] > result_place.BUCKET_WAIT_S


@pytest.mark.parametrize(
    "url",
    ["", "results", "/results", "https://results", "s3://", "s3://Results", "s3://k:v@results"],
)
def test_what_is_no_bucket_is_not_kept(tmp_path, url):
    with pytest.raises(StoreError, match="no URL of a bucket"):
        use_bucket(tmp_path, url)
    assert list(tmp_path.iterdir()) == []


def test_results_do_not_move(tmp_path):
    use_bucket(tmp_path, URL)
    use_bucket(tmp_path, f"{URL}/")
    with pytest.raises(StoreError, match="its results are in s3://results/lab-1"):
        use_bucket(tmp_path, "s3://others/lab-1")
    (tmp_path / "b" / "s1.zarr").mkdir(parents=True)
    with pytest.raises(StoreError, match="its results are in its folder"):
        use_bucket(tmp_path / "b", URL)


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_small_objects_are_written_once_and_stay(bucket, tmp_path, place):
    kept = KeptObjects(str(tmp_path) if place == "folder" else f"{URL}/heads/")
    for name, content in (("a/2", b"two"), ("a/1", b"one"), ("b/1", b"other"), ("a/1", b"anew")):
        kept.put(name, content)
    assert kept.names() == ["a/1", "a/2", "b/1"]
    assert kept.read("a/1") == b"one"
    with pytest.raises(StoreError, match="a/9"):
        kept.read("a/9")
