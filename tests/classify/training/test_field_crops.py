import json

import numpy as np
import pytest
from PIL import Image

from classify import DataError
from classify.training import write_field_crops

SIDE = 400  # px of a field, at 0.1 um a pixel


def box(label: str, x: float, y: float) -> dict[str, object]:
    return {"label": label, "x0": x - 30, "y0": y - 30, "x1": x + 30, "y1": y + 30}


@pytest.fixture
def fields(tmp_path):
    """Two fields edge to edge, a grey one and a dark one, with boxes beside them."""
    pixels = np.full((SIDE, 2 * SIDE, 3), 200, np.uint8)
    pixels[:, SIDE:] = 20
    pixels[180:220, 280:320] = (90, 60, 140)
    Image.fromarray(pixels).save(tmp_path / "fields.png")
    boxes = [
        box("wbc", 300, 200),
        box("wbc", 360, 200),  # 4 um from the edge of its field
        box("platelet", 355, 100),
        box("wbc", SIDE + 200, 200),
        *(box("rbc", 150 + i, 150) for i in range(100)),
    ]
    facts = {"mpp": 0.1, "field": [SIDE, SIDE], "boxes": boxes}
    (tmp_path / "fields.boxes.json").write_text(json.dumps(facts))
    return tmp_path


def test_whole_cells_are_cut_and_a_share_of_the_red_ones(fields):
    made = write_field_crops(fields / "fields.png", fields / "fields.boxes.json", fields / "out")
    names = {path.name for path in (fields / "out").rglob("*.png")}
    assert made["white-cell"] == 2 and made["platelet"] == 1 and 25 < made["other"] < 65
    assert "field_00001.png" not in names and len(names) == sum(made.values())


def test_a_crop_is_centred_and_its_field_is_mirrored_at_its_edge(fields):
    write_field_crops(fields / "fields.png", fields / "fields.boxes.json", fields / "out")
    crop = np.asarray(Image.open(fields / "out" / "white-cell" / "field_00000.png"))
    assert crop.shape == (128, 128, 3)
    assert crop[64, 64].tolist() == [90, 60, 140] and crop[5, 64].tolist() == [200, 200, 200]
    assert crop.min() > 50, "the field beside it is another place"


def test_boxes_that_are_none_are_refused_in_one_line(fields):
    (fields / "fields.boxes.json").write_text('{"boxes": []}')
    with pytest.raises(DataError, match="2 keys are wrong"):
        write_field_crops(fields / "fields.png", fields / "fields.boxes.json", fields / "out")
