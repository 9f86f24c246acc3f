"""A pretrained encoder under the denoiser, cells of several laboratories, partial labels."""

import csv

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from classify.engines.openvino import OpenVinoEngine  # noqa: E402
from classify.engines.torch import TorchEngine  # noqa: E402
from classify.errors import DataError  # noqa: E402
from classify.network import Denoiser, NetworkConfig  # noqa: E402
from classify.training import TrainConfig, partial_cross_entropy, train_model  # noqa: E402
from classify.training import release as releasing  # noqa: E402
from classify.training.sources import Source, colour_maps, read_sources, targets_of  # noqa: E402

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"
    ),
]

PARENTS = {"band": "neutrophil", "segmented": "neutrophil", "blast": "blast", "other": "other"}
AWAY = ("blast", "neutrophil", "other")
STAINS = {"home": (120, 60, 160), "away": (60, 90, 200)}


def write_cells(folder, laboratory, names, rng):
    """Discs of the laboratory's colour on white: large ones for bands and blasts, small ones
    otherwise.
    """
    for name in names:
        for number in range(6):
            crop = np.full((32, 32, 3), 250.0)
            y, x = np.mgrid[:32, :32] - 15.5
            radius = 9 if name in ("band", "blast") else 5
            crop[np.hypot(y, x) < radius] = np.array(STAINS[laboratory]) + rng.normal(0, 8, 3)
            crop = np.clip(crop + rng.normal(0, 2, crop.shape), 0, 255).astype(np.uint8)
            path = folder / name.split("/")[0] / f"{name}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(crop).save(path)


@pytest.fixture(scope="module")
def laboratories(tmp_path_factory):
    root = tmp_path_factory.mktemp("laboratories")
    rng = np.random.default_rng(0)
    write_cells(root / "home", "home", ("band", "segmented"), rng)
    write_cells(root / "val", "home", ("band", "segmented"), rng)
    write_cells(root / "away", "away", AWAY, rng)
    with (root / "attributes.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("img_name", "cell_size", "granularity", "path"))
        for number in range(6):
            table.writerow((f"band_{number}.jpg", "big", "yes", "-"))
            table.writerow((f"segmented_{number}.jpg", "small", "no", "-"))
    return root


def config(root, out, **changes):
    sources = (
        Source(
            folder=root / "home",
            laboratory="home",
            labels={"band": "band", "segmented": "segmented"},
        ),
        Source(
            folder=root / "away",
            laboratory="away",
            held_out=3,
            labels={name: name for name in AWAY},
        ),
    )
    values = {
        "val": root / "val",
        "out": out,
        "sources": sources,
        "taxonomy": PARENTS,
        "alike": ("segmented", "neutrophil"),
        "attributes": root / "attributes.csv",
        "crop_px": 32,
        "window_px": 32,
        "steps": 3,
        "batch": 8,
        "warmup_steps": 1,
        "validate_every": 3,
        "checkpoint_every": 1,
        "guide_weight": 1.0,
        "class_weight": 1.0,
        "white": True,
        "network": {
            "image_px": 32,
            "patch_px": 4,
            "encoder": "efficientnet-lite0",
            "channels": (16, 16, 16, 16),
        },
        "jitter": {"laboratories": 0.5, "sharpen_share": 0.5},
    }
    return TrainConfig(**values | changes)


def test_a_label_allows_a_class_all_of_a_parent_or_a_group():
    table = targets_of(("band", "neutrophil", "white"), PARENTS, {"white": ("band", "blast")})
    assert table.tolist() == [
        [True, False, False, False],
        [True, True, False, False],
        [True, False, True, False],
    ]
    with pytest.raises(DataError, match="no class or parent is called smudge"):
        targets_of(("smudge",), PARENTS, {})


def test_a_partial_label_is_satisfied_by_any_of_its_classes():
    logits = torch.tensor([[4.0, 4.0, -9.0], [4.0, 4.0, -9.0]])
    either, one = torch.tensor([[True, True, False]]), torch.tensor([[True, False, False]])
    assert partial_cross_entropy(logits[:1], either) < 1e-4
    assert partial_cross_entropy(logits[:1], one) == pytest.approx(np.log(2), abs=1e-4)


def test_colours_of_a_laboratory_are_laid_on_another(laboratories):
    cfg = config(laboratories, laboratories / "unused")
    data = read_sources(cfg.sources, 32, white=True, labels=cfg.labels)
    maps = colour_maps(data, 32, cfg.alike)
    home, away = (-np.log(np.array(STAINS[name]) / 250) for name in ("home", "away"))
    assert data.laboratories.tolist() == sorted(
        data.laboratories.tolist(), reverse=True
    )  # home is number 1, away number 0
    carried = maps[1, 0] @ home
    assert np.abs(carried - away).max() < np.abs(home - away).max() / 3
    assert np.allclose(maps[0, 0], np.eye(3), atol=1e-4)


def test_what_is_held_out_is_not_trained_on(laboratories):
    source = Source(folder=laboratories / "away", held_out=3)
    kept, trained = set(source.paths(held_out=True)), set(source.paths())
    assert len(kept) == 6 and len(trained) == 12 and not kept & trained


def test_a_run_of_two_laboratories_becomes_a_model_that_engines_agree_on(
    laboratories, tmp_path, monkeypatch
):
    for name, value in (
        ("CANDIDATES", 4),
        ("RELEASED_DRAWS", 3),
        ("ORDER_CELLS", 12),
        ("SHEET_COLUMNS", 1),
        ("SHEET_TRIED", 2),
    ):
        monkeypatch.setattr(releasing, name, value)
    run = train_model(config(laboratories, tmp_path / "run"))
    assert run.step == 3 and run.network.attributes == (2, 2)
    model = releasing.release_model(tmp_path / "run", tmp_path / "models" / "tiny", "tiny")
    card = model.card
    assert card.parents == ("neutrophil", "blast", "other") and card.features == 320
    assert card.attributes == {"cell_size": ("big", "small"), "granularity": ("no", "yes")}
    assert model.attributes.shape == (321, 4)
    rng = np.random.default_rng(1)
    images, noise = rng.normal(0, 0.5, (2, 5, 3, 32, 32)).astype(np.float32)
    sigma = np.linspace(0.1, 1, 5, dtype=np.float32)
    fast, slow = OpenVinoEngine(model, "f32"), TorchEngine(model)
    assert np.allclose(
        fast.errors(images, noise, sigma), slow.errors(images, noise, sigma), rtol=1e-3, atol=1e-4
    )
    assert np.allclose(
        fast.features(images, noise, sigma),
        slow.features(images, noise, sigma),
        rtol=1e-2,
        atol=1e-2,
    )


def test_an_untrained_encoder_passes_the_noise_level_on():
    net = Denoiser(
        NetworkConfig(
            classes=2, image_px=32, patch_px=4, channels=(16,) * 4, encoder="efficientnet-lite0"
        )
    ).eval()
    film = net.trunk.encoder.films[0]
    torch.nn.init.normal_(film.weight)
    x = torch.randn(1, 3, 32, 32).repeat(2, 1, 1, 1)
    first = net.trunk.encoder(x, net.trunk.embed(torch.tensor([0.1, 1.0]).log() / 4))[0]
    assert not torch.allclose(first[0], first[1])
