import numpy as np
import pytest

from ingest import StoreError
from stream.store.slide_store import CHUNK_ROWS, SlideStore, shard_rows


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


def test_crops_of_an_earlier_store_are_read_and_go_on(tmp_path):
    """Up to version 0.1 of the store the pixels of crops were (n, h, w, c), a chunk a file."""
    store = SlideStore.create(tmp_path / "s.zarr", {})
    pixels = np.arange(70 * 4 * 4 * 3, dtype=np.uint8).reshape(70, 4, 4, 3)
    earlier = store.group.create_array(
        "crop", shape=(64, 4, 4, 3), chunks=(CHUNK_ROWS, 4, 4, 3), dtype=np.uint8
    )
    earlier[:] = pixels[:64]
    store.mark_image(0.25)
    assert "ome" not in store.facts
    store.write(64, {"crop": pixels[64:]})
    np.testing.assert_array_equal(SlideStore.open(store.path).read("crop"), pixels)
    np.testing.assert_array_equal(SlideStore.open(store.path).read("crop", 63, 66), pixels[63:66])


def test_crops_are_kept_with_the_axes_of_an_image(tmp_path):
    store = SlideStore.create(tmp_path / "s.zarr", {})
    pixels = np.arange(70 * 4 * 4 * 3, dtype=np.uint8).reshape(70, 4, 4, 3)
    store.write(0, {"crop": pixels[:64]})
    store.write(64, {"crop": pixels[64:]})
    array = store.group["crop"]
    assert array.shape == (70, 3, 4, 4)
    assert array.metadata.dimension_names == ("t", "c", "y", "x")
    np.testing.assert_array_equal(store.read("crop"), pixels)
    np.testing.assert_array_equal(store.read("crop", 60, 65), pixels[60:65])


@pytest.mark.parametrize(
    ("row_bytes", "rows"), [(1, 16_384), (416, 16_384), (128 * 128 * 3, 512), (1 << 30, 64)]
)
def test_a_file_holds_whole_chunks_up_to_a_size(row_bytes, rows):
    assert shard_rows(row_bytes) == rows


def test_files_are_as_large_as_the_rows_of_their_column_allow(tmp_path):
    store = SlideStore.create(tmp_path / "s.zarr", {})
    store.write(0, {"crop": np.zeros((2, 128, 128, 3), np.uint8), "draws": np.zeros(2, np.uint16)})
    assert (store.group["crop"].shards[0], store.group["draws"].shards[0]) == (512, 16_384)


def test_no_store_there(tmp_path):
    with pytest.raises(StoreError, match="no results"):
        SlideStore.open(tmp_path / "none.zarr")


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "s.zarr").write_text("in the way")
    with pytest.raises(StoreError):
        SlideStore.create(tmp_path / "s.zarr", {})
