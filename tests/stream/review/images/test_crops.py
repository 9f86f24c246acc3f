"""The picture of a cell whose pixels are gone: said, and not another cell's picture."""

import numpy as np
import pytest

from ingest import StoreError
from stream.config import Config
from stream.review.images import Crops
from stream.review.slides import SlideLibrary
from tests.stores import filled


def test_a_crop_that_is_gone_is_said(tmp_path, monkeypatch):
    made = filled(tmp_path / "store", cells=3, odd=0)
    with SlideLibrary(tmp_path / "store", Config()) as library:
        crops = Crops(tmp_path / "store", library.queries, library.trail.marked)
        shelf = library.shelf(made.slide.slide_id).refresh()
        cells = list(shelf.cells(shelf.standing))
        for cell in cells:
            assert crops.pixels(made.slide.slide_id, cell).shape == (128, 128, 3)
        two = np.zeros((2, 128, 128, 3), np.uint8)
        monkeypatch.setattr(crops, "_chunk", lambda *_: two)
        for cell in cells[:2]:
            assert not crops.pixels(made.slide.slide_id, cell).any()
        with pytest.raises(StoreError) as gone:
            crops.pixels(made.slide.slide_id, cells[2])
    made.close()
    assert gone.value.what == f"the crop of cell {cells[2].cell_id} is gone"
    assert gone.value.hint == "was the store moved without its zarr folders?"
