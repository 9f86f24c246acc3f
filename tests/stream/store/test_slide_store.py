import numpy as np
import pytest

from ingest import StoreError
from stream.store.slide_store import CHUNK_ROWS, SlideStore


def columns(n, start=0):
    return {
        "crop": np.full((n, 4, 4, 3), start % 256, np.uint8),
        "area_um2": np.arange(start, start + n, dtype=np.float32),
    }


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


def test_rows_go_on_in_a_chunk_begun_before(tmp_path):
    for row, count in ((0, 3), (3, CHUNK_ROWS), (CHUNK_ROWS + 3, 2)):
        SlideStore.create(tmp_path / "s.zarr", {}).write(
            row, {"area_um2": np.arange(row, row + count, dtype=np.float32)}
        )
    np.testing.assert_array_equal(
        SlideStore.open(tmp_path / "s.zarr").read("area_um2"), np.arange(CHUNK_ROWS + 5)
    )


def test_no_store_there(tmp_path):
    with pytest.raises(StoreError, match="no results"):
        SlideStore.open(tmp_path / "none.zarr")


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "s.zarr").write_text("in the way")
    with pytest.raises(StoreError):
        SlideStore.create(tmp_path / "s.zarr", {})
