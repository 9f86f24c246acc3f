"""A file on which a decoder does not end: it is refused with a reason after the limit of time, and
the slides beside it are done.
"""

import numpy as np
import pytest
import tifffile

from stream.config import BacklogSettings
from stream.store import Backlog, Outbox
from tests.make import hanging_jpeg, smear

MPP = 0.28


def write_hanging_jpeg(path):
    path.write_bytes(hanging_jpeg())


def write_hanging_tiff(path):
    """A field with a smaller page, which is compared with it when the facts are read."""
    jpeg = hanging_jpeg()
    with tifffile.TiffWriter(path) as file:
        scale = {"resolution": (1e4 / MPP, 1e4 / MPP), "resolutionunit": "CENTIMETER"}
        file.write(np.full((1600, 1600, 3), 200, np.uint8), photometric="rgb", **scale)
        file.write(
            iter([jpeg]),
            shape=(1024, 1024, 3),
            dtype=np.uint8,
            photometric="ycbcr",
            compression="jpeg",
            rowsperstrip=1024,
        )


def test_a_file_that_hangs_a_decoder_costs_the_limit_and_itself_alone(cytostream, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    write_hanging_jpeg(folder / "a.jpg")
    smear(folder / "b.tiff", side_px=400, whites=1)
    config = tmp_path / "lab.toml"
    config.write_text("[reading]\nsurvey_limit_s = 3\nred_cell_um = 0\n[backlog]\ntries = 1\n")
    words = "run", folder, "--sink", "none", "--mpp", MPP, "--workers", 1, "--config", config
    code, told = cytostream(*words, "--store", "store")
    assert code == 1
    with Outbox(tmp_path / "store" / "state.db") as outbox:
        hung, good = Backlog(outbox, BacklogSettings()).jobs()
    assert hung.state == "failed" and "took over 3 s" in hung.reason, told
    assert good.state == "done" and hung.path.exists(), told


LOOKS = [("locate", write_hanging_tiff, "READ"), ("map", write_hanging_jpeg, "SURVEY")]


@pytest.mark.parametrize(("command", "write", "limit"), LOOKS)
def test_a_look_at_one_has_the_same_limit(cytostream, tmp_path, monkeypatch, command, write, limit):
    monkeypatch.setenv(f"CYTOSTREAM_READING__{limit}_LIMIT_S", "1")
    path = tmp_path / "slide.tif"
    write(path)
    code, told = cytostream(command, path, "--mpp", MPP, "--workers", 1)
    assert code == 1 and "took over 1 s" in told and "Traceback" not in told, told
