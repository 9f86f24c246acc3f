"""Training, small: the same seed and a killed run give the same curve; bad folders say so; the
export is what was trained.
"""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from classify import DataError, load_model
from tests.make import GLASS, white_cell

torch = pytest.importorskip(
    "torch", reason="training needs the train extra: pip install -e '.[train]'"
)
pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"
    ),
]

from classify.engines.openvino import OpenVinoEngine  # noqa: E402
from classify.image_folder import load_crops  # noqa: E402
from classify.model_card import SHEET_FILE  # noqa: E402
from classify.network import Denoiser, NetworkConfig, scales  # noqa: E402
from classify.training import TrainConfig, train_model  # noqa: E402
from classify.training import release as releasing  # noqa: E402

TINY = {"image_px": 32, "patch_px": 4, "channels": (16, 32), "blocks": (1, 1)}


def crop(radius_um, rng):
    image = np.full((128, 128, 3), GLASS, np.float32)
    rgb, alpha = white_cell(rng, 36 / 128, radius_um)
    half = rgb.shape[0] // 2
    where = slice(64 - half, 64 - half + rgb.shape[0])
    image[where, where] = alpha[..., None] * rgb + (1 - alpha[..., None]) * image[where, where]
    return image.astype(np.uint8)


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Two classes that differ in size."""
    folder, rng = tmp_path_factory.mktemp("cells"), np.random.default_rng(0)
    for name, radius_um in (("large", 8.0), ("small", 3.5)):
        (folder / name).mkdir()
        for i in range(12):
            Image.fromarray(crop(radius_um, rng)).save(folder / name / f"{i}.png")
    return folder


def config(cells, out, **changes):
    small = {"steps": 6, "batch": 6, "network": TINY, "checkpoint_every": 2, "validate_every": 6}
    return TrainConfig(**{"train": cells, "val": cells, "out": out} | small | changes)


def losses_of(out):
    return [
        (row["denoising"], row["cross_entropy"])
        for row in map(json.loads, (out / "log.jsonl").read_text().splitlines())
    ]


def test_the_same_seed_gives_the_same_losses(cells, tmp_path):
    for name in ("a", "b"):
        train_model(config(cells, tmp_path / name))
    assert losses_of(tmp_path / "a") == losses_of(tmp_path / "b")


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_killed_training_resumes_to_the_same_curve(cells, tmp_path, optimizer):
    how = {"optimizer": optimizer, "guide_weight": 1.0}
    train_model(config(cells, tmp_path / "whole", **how))

    def die(row):
        if row["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_model(config(cells, tmp_path / "killed", **how), die)
    train_model(config(cells, tmp_path / "killed", **how))
    assert losses_of(tmp_path / "killed") == losses_of(tmp_path / "whole")


def test_the_guide_teaches_the_trunk(cells, tmp_path):
    plain, guided = (
        train_model(config(cells, tmp_path / name, guide_weight=w))
        for name, w in (("plain", 0.0), ("guided", 5.0))
    )
    assert plain.average.keys() == guided.average.keys()
    assert not torch.equal(plain.average["trunk.stem.weight"], guided.average["trunk.stem.weight"])


def test_the_noise_comes_through_the_same_for_all_classes():
    net = Denoiser(
        NetworkConfig(classes=3, image_px=32, patch_px=4, channels=(16, 32), blocks=(1, 1))
    ).eval()
    torch.nn.init.zeros_(net.heads.weight)
    x = torch.randn(2, 3, 32, 32)
    denoised = net.denoise(x, torch.tensor([0.1, 2.0]))
    assert torch.equal(denoised[:, 0], denoised[:, 2])
    assert not torch.allclose(denoised[:, 0], scales(torch.tensor([0.1, 2.0]))[0] * x, atol=1e-3)


def test_another_configuration_does_not_go_on_there(cells, tmp_path):
    train_model(config(cells, tmp_path / "run"))
    with pytest.raises(DataError, match="another configuration"):
        train_model(config(cells, tmp_path / "run", batch=4))


def test_fine_tuning_begins_with_the_other_runs_weights(cells, tmp_path):
    first = train_model(config(cells, tmp_path / "first"))
    second = train_model(
        config(
            cells,
            tmp_path / "second",
            init=tmp_path / "first",
            steps=1,
            learning_rate=1e-9,
            warmup_steps=0,
        )
    )
    for key, value in first.average.items():
        assert torch.allclose(value, second.average[key], atol=1e-6)


def test_fine_tuning_a_released_model_keeps_the_heads_of_its_classes(cells, tmp_path, monkeypatch):
    for name, value in (
        ("CANDIDATES", 4),
        ("RELEASED_DRAWS", 3),
        ("ORDER_CELLS", 12),
        ("SHEET_COLUMNS", 1),
        ("SHEET_TRIED", 2),
    ):
        monkeypatch.setattr(releasing, name, value)
    first = train_model(config(cells, tmp_path / "first"))
    releasing.release_model(tmp_path / "first", tmp_path / "model", "tiny")
    shutil.copytree(cells / "small", tmp_path / "new" / "small")
    shutil.copytree(cells / "large", tmp_path / "new" / "blast")
    slow = {"steps": 1, "learning_rate": 1e-9, "warmup_steps": 0, "network": {}, "seed": 3}
    second = train_model(
        config(tmp_path / "new", tmp_path / "second", init=tmp_path / "model", **slow)
    )
    assert second.classes == ("blast", "small", "other") and first.classes == (
        "large",
        "small",
        "other",
    )
    a, b = (run.average["heads.weight"].unflatten(0, (3, -1)) for run in (first, second))
    assert torch.allclose(a[1:], b[1:], atol=1e-5) and not torch.allclose(a[0], b[0], atol=1e-5)
    assert torch.allclose(
        first.average["trunk.stem.weight"], second.average["trunk.stem.weight"], atol=2e-3
    )
    assert torch.allclose(first.average["gain"], second.average["gain"], atol=1e-3)


def test_weights_of_other_pixels_are_refused(cells, tmp_path):
    train_model(config(cells, tmp_path / "first", steps=1, window_px=64))
    assert (
        train_model(
            config(cells, tmp_path / "like", init=tmp_path / "first", steps=1)
        ).cfg.window_px
        == 64
    )
    with pytest.raises(DataError, match="white = false"):
        train_model(config(cells, tmp_path / "second", init=tmp_path / "first", white=True))
    with pytest.raises(DataError, match="window_px = 64"):
        train_model(config(cells, tmp_path / "second", init=tmp_path / "first", window_px=96))
    with pytest.raises(DataError, match="neither a model nor a training run"):
        train_model(config(cells, tmp_path / "third", init=tmp_path / "nowhere"))


def test_two_processes_train_one_net(cells, tmp_path):
    job = tmp_path / "job.py"
    job.write_text(
        "import os, sys, torch\nfrom pathlib import Path\nfrom classify.training.data_parallel "
        "import join\n"
        "from classify.training import TrainConfig, train_model\nranks = "
        "join(int(os.environ['RANK']), 2)\n"
        "cfg = TrainConfig(**__import__('json').loads(sys.argv[1]))\nrun = train_model(cfg, "
        "ranks=ranks)\n"
        "torch.save(run.model.state_dict(), Path(sys.argv[2]) / f'{ranks.rank}.pt')\n"
    )
    settings = config(cells, tmp_path / "run", steps=3).model_dump_json()
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        job,
        settings,
        tmp_path,
    ]
    subprocess.run(
        command,
        check=True,
        capture_output=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert len(losses_of(tmp_path / "run")) == 3


def test_an_unreadable_and_a_16_bit_image_are_counted_and_left_out(cells, tmp_path):
    for name in ("large", "small"):
        (tmp_path / name).mkdir()
        Image.open(cells / name / "0.png").save(tmp_path / name / "0.png")
    (tmp_path / "large" / "broken.png").write_text("no image")
    Image.fromarray(np.zeros((128, 128), np.uint16)).save(tmp_path / "small" / "deep.png")
    data = load_crops(tmp_path)
    assert len(data.images) == 2 and {p.name for p in data.skipped} == {"broken.png", "deep.png"}


@pytest.mark.parametrize("kind", ["empty class", "one class", "no folder"])
def test_a_folder_that_cannot_be_trained_on(cells, tmp_path, kind):
    folder = tmp_path / "data"
    if kind != "no folder":
        (folder / "large").mkdir(parents=True)
        Image.open(cells / "large" / "0.png").save(folder / "large" / "0.png")
    if kind == "empty class":
        (folder / "small").mkdir()
    with pytest.raises(DataError) as caught:
        load_crops(folder)
    assert caught.value.hint


def test_what_is_exported_is_what_was_trained(cells, tmp_path, monkeypatch):
    for name, value in (
        ("CANDIDATES", 4),
        ("RELEASED_DRAWS", 3),
        ("ORDER_CELLS", 12),
        ("SHEET_COLUMNS", 1),
        ("SHEET_TRIED", 2),
    ):
        monkeypatch.setattr(releasing, name, value)
    run = train_model(config(cells, tmp_path / "run"))
    model = releasing.release_model(tmp_path / "run", tmp_path / "model", "tiny")
    assert (
        load_model(tmp_path / "model").card.classes == ("large", "small", "other")
        and (tmp_path / "model" / SHEET_FILE).exists()
    )
    rng = np.random.default_rng(0)
    images, noise = (rng.standard_normal((3, 3, 32, 32)).astype(np.float32) for _ in range(2))
    sigma = np.array([0.2, 0.7, 2.0], np.float32)
    engine = OpenVinoEngine(model, "f32")
    with torch.no_grad():
        x, eps, s = map(torch.from_numpy, (images, noise, sigma))
        errors = run.averaged().errors(x, eps, s).numpy()
        denoised = run.averaged().denoise(x + s[:, None, None, None] * eps, s).numpy()
    np.testing.assert_allclose(engine.errors(images, noise, sigma), errors, rtol=2e-3)
    np.testing.assert_allclose(engine.denoised(images, noise, sigma), denoised, atol=5e-3)
