"""What a lab may put into a training folder: each is read, counted and left out, or named in one
line; and long runs repeat.
"""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from classify import DataError
from classify.image_folder import load_crops, read_crop
from stream.cli.app import app

torch = pytest.importorskip(
    "torch", reason="training needs the train extra: pip install -e '.[train]'"
)
pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning"),
]

from classify.training import TrainConfig, train_model  # noqa: E402

NETWORK = {"image_px": 16, "patch_px": 4, "channels": [16, 16], "blocks": [1, 1]}


def write_cells(folder, count=4):
    rng = np.random.default_rng(0)
    for name, level in (("dark", 60), ("pale", 200)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(
                rng.integers(level - 20, level + 20, (128, 128, 3)).astype(np.uint8)
            ).save(folder / name / f"{i}.png")
    return folder


def grey16(path):
    Image.fromarray(np.full((128, 128), 30_000, np.uint16)).save(path)


def config_file(tmp_path, cells, **changes):
    network = changes.pop("network", NETWORK)
    keys = {
        "train": str(cells),
        "val": str(cells),
        "out": str(tmp_path / "run"),
        "steps": 2,
        "batch": 4,
    } | changes
    text = "\n".join(f"{k} = {json.dumps(v)}" for k, v in keys.items())
    path = tmp_path / "train.toml"
    path.write_text(
        text + "\n[network]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in network.items())
    )
    return path


def test_the_command_counts_what_it_leaves_out_and_names_it(tmp_path):
    cells = write_cells(tmp_path / "cells")
    grey16(cells / "dark" / "deep.png")
    (cells / "pale" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    done = CliRunner().invoke(
        app, ["train", str(config_file(tmp_path, cells))], env={"COLUMNS": "200"}
    )
    assert done.exit_code == 0, done.output
    assert "2 images left out" in done.output
    skipped = json.loads((tmp_path / "run" / "skipped.json").read_text())
    assert {str(cells / "dark" / "deep.png"), str(cells / "pale" / "cut.jpg")} == set(skipped)
    assert any("8-bit" in why for why in skipped.values())
    assert json.loads((tmp_path / "run" / "report" / "training.json").read_text())["steps"] == 2


@pytest.mark.parametrize("kind", ["of one class", "of all"])
def test_a_class_of_16_bit_greys_alone_is_an_error_that_says_why(tmp_path, kind):
    cells = write_cells(tmp_path / "cells")
    for path in (cells if kind == "of all" else cells / "dark").rglob("*.png"):
        grey16(path)
    with pytest.raises(
        DataError, match="no readable image of dark.*8-bit images are wanted"
    ) as caught:
        load_crops(cells)
    assert caught.value.hint


def test_validation_cells_of_no_known_class_are_an_error(tmp_path):
    cells, other = write_cells(tmp_path / "cells"), tmp_path / "val"
    (other / "unknown").mkdir(parents=True)
    with pytest.raises(DataError, match="no readable image of dark, pale"):
        train_model(TrainConfig(train=cells, val=other, out=tmp_path / "run", network=NETWORK))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "CMYK"])
def test_other_kinds_of_8_bit_images_become_rgb(tmp_path, mode):
    path = tmp_path / "cell.tif"
    Image.fromarray(np.full((100, 80, 3), 128, np.uint8)).convert(mode).save(path)
    assert read_crop(path, 64).shape == (64, 64, 3)


@pytest.mark.parametrize("damage", ["cut short", "empty", "a folder", "text"])
def test_a_damaged_image_is_a_reason_and_no_crash(tmp_path, damage):
    path = tmp_path / "cell.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (128, 128, 3)).astype(np.uint8)).save(
        path
    )
    whole = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    else:
        path.write_bytes(
            {"cut short": whole[: len(whole) // 2], "empty": b"", "text": b"a cell"}[damage]
        )
    with pytest.raises(ValueError, match="unreadable"):
        read_crop(path, 64)


def losses_of(run):
    return [
        (row["denoising"], row["cross_entropy"])
        for row in map(json.loads, (run / "log.jsonl").read_text().splitlines())
    ]


def test_the_same_seed_gives_the_same_first_100_losses_and_another_seed_others(tmp_path):
    cells = write_cells(tmp_path / "cells")
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        folders = {"train": cells, "val": cells, "out": tmp_path / name}
        train_model(
            TrainConfig(
                **folders, steps=100, batch=4, seed=seed, network=NETWORK, validate_every=100
            )
        )
    a, b, c = (losses_of(tmp_path / name) for name in "abc")
    assert len(a) == 100 and a == b != c


def test_a_training_killed_outright_resumes_by_the_same_command_to_the_same_curve(tmp_path):
    """SIGKILL in the middle; the log may hold steps after the checkpoint twice, with the same
    losses.
    """
    cells = write_cells(tmp_path / "cells")
    command, how = (
        [sys.executable, "-m", "stream.cli", "train"],
        {"env": os.environ | {"OMP_NUM_THREADS": "1"}},
    )
    long = {"steps": 40, "checkpoint_every": 5, "validate_every": 40, "warmup_steps": 5}
    whole = config_file(tmp_path, cells, out=str(tmp_path / "whole"), **long)
    assert CliRunner().invoke(app, ["train", str(whole)]).exit_code == 0
    path, log = config_file(tmp_path, cells, **long), tmp_path / "run" / "log.jsonl"
    first = subprocess.Popen(
        [*command, path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **how
    )
    while not log.exists() or log.read_text().count("\n") < 12:
        assert first.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert CliRunner().invoke(app, ["train", str(path)]).exit_code == 0
    rows = {row["step"]: row["denoising"] for row in map(json.loads, log.read_text().splitlines())}
    assert [rows[step] for step in range(1, 41)] == pytest.approx(
        [loss for loss, _ in losses_of(tmp_path / "whole")], rel=1e-4
    )
