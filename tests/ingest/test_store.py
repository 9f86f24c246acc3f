import numpy as np
import pytest

from ingest import SlideStore, StoreError
from ingest.store import CHUNK_ROWS


def columns(n, start=0):
    return {"crop": np.full((n, 4, 4, 3), start % 256, np.uint8), "area_um2": np.arange(start, start + n, dtype=np.float32)}


def test_rows_come_back(tmp_path):
    store = SlideStore.create(tmp_path / "s.zarr", {"slide_id": "s", "classes": ("a", "b")})
    store.write(0, columns(CHUNK_ROWS))
    store.write(CHUNK_ROWS, columns(5, CHUNK_ROWS))
    again = SlideStore.open(tmp_path / "s.zarr")
    assert again.rows == CHUNK_ROWS + 5 and again.facts["classes"] == ["a", "b"]
    np.testing.assert_array_equal(again.read("area_um2"), np.arange(CHUNK_ROWS + 5))


def test_writing_a_chunk_again_changes_nothing(tmp_path):
    for _ in range(2):
        store = SlideStore.create(tmp_path / "s.zarr", {})
        store.write(0, columns(CHUNK_ROWS))
        store.write(CHUNK_ROWS, columns(3, CHUNK_ROWS))
    assert store.rows == CHUNK_ROWS + 3


def test_rows_begin_a_chunk(tmp_path):
    with pytest.raises(ValueError, match="begin a chunk"):
        SlideStore.create(tmp_path / "s.zarr", {}).write(3, columns(1))


def test_no_store_there(tmp_path):
    with pytest.raises(StoreError, match="no results"):
        SlideStore.open(tmp_path / "none.zarr")


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "s.zarr").write_text("in the way")
    with pytest.raises(StoreError):
        SlideStore.create(tmp_path / "s.zarr", {})
