"""Training of the denoiser: denoising loss plus cross-entropy over the negative class errors and
over a guide (needs torch).
"""

import json
import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from classify.errors import DataError
from classify.image_folder import OTHER_CLASS, LabelledCrops, balanced_batches, load_crops
from classify.model_card import ClassEntry
from classify.network import Denoiser, EncoderTrunk, NetworkConfig, Trunk, TrunkNetwork
from classify.pixels import on_white

from .augment import Jitter, augment_crops, view
from .checkpoint import halved, whole
from .data_parallel import Ranks
from .initial_weights import Initial, begin_with, read_initial
from .muon import muon
from .sources import Source, colour_maps, read_attributes, read_sources, targets_of

WARMUP_SHARE = 0.08
MOST_STEPS = 10_000_000


class TrainConfig(BaseModel):
    """What `cytostream train CONFIG` reads; the file holds only differences from these defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Path | None = None
    val: Path
    sources: tuple[Source, ...] = Field(
        (), description="folders of several laboratories, in place of `train`"
    )
    taxonomy: dict[str, ClassEntry] = Field(
        {}, description="the classes; empty: the folders of `train` are the classes"
    )
    data: dict[str, str] = Field(
        {}, description="what the card says of the data: name, licence, source"
    )
    groups: dict[str, tuple[str, ...]] = Field(
        {}, description="label = the classes it may stand for, where no parent is"
    )
    alike: tuple[str, ...] = Field(
        (), description="labels whose cells tell the colours of laboratories apart"
    )
    attributes: Path | None = Field(
        None, description="table of morphology attributes by image name"
    )
    attribute_weight: float = Field(0.2, ge=0)
    encoder_rate: float = Field(
        1.0, gt=0, description="learning rate of a pretrained encoder, as a share"
    )
    out: Path = Path("runs/first")
    steps: int = Field(4500, gt=0)
    batch: int = Field(64, gt=0)
    learning_rate: float = Field(7e-4, gt=0)
    warmup_steps: int = 200
    cooldown_share: float = Field(
        1.0, gt=0, le=1, description="last share of training over which the learning rate falls"
    )
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.998
    class_weight: float = Field(
        0.1, ge=0, description="weight of the cross-entropy beside the denoising loss"
    )
    guide_weight: float = Field(
        0.0, ge=0, description="weight of a second one, of a linear layer that only training has"
    )
    optimizer: Literal["adamw", "muon"] = "adamw"
    sigma_centre: float = 0.6
    sigma_spread: float = 0.9
    wide_share: float = Field(
        0.15, ge=0, le=1, description="share of noise levels drawn log-uniformly over [0.01, 60]"
    )
    crop_px: int = 128
    crop_um: float = 36.0
    window_px: int = 96
    white: bool = Field(
        False, description="make the background of every crop white before anything else"
    )
    other: bool = Field(True, description="add the class of what surrounds the cells")
    network: dict[str, Any] = {}
    jitter: Jitter = Jitter()
    init: Path | None = Field(
        None, description="model or training run whose weights to begin with: fine-tuning"
    )
    minutes: float = Field(
        0.0, ge=0, description="wall time to train for, which the schedule follows; 0: the steps"
    )
    compact: bool = Field(
        False, description="checkpoints of half the size: averages and moments in 16 bits"
    )
    seed: int = 0
    checkpoint_every: int = 150
    validate_every: int = 450

    @field_validator("taxonomy", mode="before")
    @classmethod
    def _from_parents(cls, value: dict[str, object]) -> dict[str, object]:
        """A class may be given as the name of its parent alone."""
        return {
            name: {"parent": entry} if isinstance(entry, str) else entry
            for name, entry in value.items()
        }

    @property
    def train_folder(self) -> Path:
        """Where the training cells of a single laboratory lie.

        Raises:
            DataError: the file names none.
        """
        if self.train is None:
            raise DataError("no cells to train on", "name a folder with `train`, or `sources`")
        return self.train

    @property
    def parents(self) -> dict[str, str]:
        """Each class's parent."""
        return {name: entry.parent for name, entry in self.taxonomy.items()}

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, and after them the parents and groups that sources name."""
        said = {label for source in self.sources for label in source.labels.values()}
        return (*self.taxonomy, *sorted(said - set(self.taxonomy)))


def class_names(data: LabelledCrops, cfg: TrainConfig) -> tuple[str, ...]:
    """The classes of the heads: those of the taxonomy, or the folders and `other`."""
    if cfg.sources:
        return tuple(cfg.taxonomy)
    return data.classes + ((OTHER_CLASS,) if cfg.other else ())


def draw_sigma(n: int, cfg: TrainConfig, rng: torch.Generator) -> Tensor:
    """Noise levels (n,): log-normal where classes part, some over the whole range for
    generation.
    """
    main = math.log(cfg.sigma_centre) + cfg.sigma_spread * torch.randn(n, generator=rng)
    wide = math.log(0.01) + math.log(6000) * torch.rand(n, generator=rng)
    return torch.where(torch.rand(n, generator=rng) < cfg.wide_share, wide, main).exp()


def optimizer_of(
    trained: nn.Module, trunk: Trunk | EncoderTrunk, cfg: TrainConfig
) -> torch.optim.Optimizer:
    adam = partial(torch.optim.AdamW, lr=0.0, betas=(0.9, 0.99), weight_decay=cfg.weight_decay)
    if isinstance(trunk, EncoderTrunk):
        encoder = list(trunk.encoder.parameters())
        ids = {id(p) for p in encoder}
        rest = [p for p in trained.parameters() if id(p) not in ids]
        return adam(
            [{"params": encoder, "share": cfg.encoder_rate}, {"params": rest, "share": 1.0}]
        )
    if cfg.optimizer == "muon":
        matrices = [trunk.down, trunk.middle, trunk.up]
        return muon(trained, matrices, lr=0.0, betas=(0.9, 0.99), weight_decay=cfg.weight_decay)
    return adam(trained.parameters())


def learning_rate(step: int, cfg: TrainConfig) -> float:
    """Rises over the warm-up, stays, and falls by half a cosine over the last `cooldown_share` of
    the steps.
    """
    if step < cfg.warmup_steps:
        return cfg.learning_rate * (step + 1) / cfg.warmup_steps
    begin = max(cfg.warmup_steps, cfg.steps * (1 - cfg.cooldown_share))
    done = max(0.0, step - begin) / max(1, cfg.steps - begin)
    return cfg.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


def paced(cfg: TrainConfig, recipe: TrainConfig, step: int, share: float) -> TrainConfig:
    """The configuration whose schedule is `share` of the way at this step; the first steps are
    guessed at.
    """
    steps = max(step + 1, round(step / share)) if step >= 5 else recipe.steps
    warmup = max(1, min(recipe.warmup_steps, round(WARMUP_SHARE * steps)))
    return cfg.model_copy(update={"steps": steps, "warmup_steps": warmup})


ALONE = Ranks()
NetworkType = TypeVar("NetworkType", bound=TrunkNetwork, covariant=True)


class TrainingState(ABC, Generic[NetworkType]):
    """Everything that a checkpoint holds, and the one step that moves it."""

    def __init__(
        self, cfg: TrainConfig, classes: tuple[str, ...], device: str = "cpu", ranks: Ranks = ALONE
    ):
        torch.manual_seed(cfg.seed)
        self.cfg = cfg
        self.classes = classes
        self.device = device
        self.ranks = ranks
        self.step = 0
        self.network = NetworkConfig(classes=len(classes), **cfg.network)
        self.targets = torch.eye(len(classes), dtype=torch.bool)
        self.maps: Tensor | None = None
        self.model = self.new_model()
        if isinstance(self.model.trunk, EncoderTrunk):
            self.model.trunk.encoder.load_pretrained()
        # the overloads that torch states lack `memory_format`
        self.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.optimizer = optimizer_of(self.model, self.model.trunk, cfg)

    @abstractmethod
    def new_model(self) -> NetworkType:
        """A network of the configuration, untrained."""

    @abstractmethod
    def losses(
        self,
        x: Tensor,
        allowed: Tensor,
        sigma: Tensor,
        noise: Tensor,
        attributes: Tensor | None = None,
    ) -> dict[str, tuple[float, Tensor]]:
        """Weight and loss, by name: of inputs x (b, 3, px, px) that may be of the classes `allowed`
        (b, K), under noise (b, 3, px, px) of levels sigma (b,).
        """

    def advance(
        self,
        images: Tensor,
        y: Tensor,
        other: Tensor,
        laboratories: Tensor | None = None,
        attributes: Tensor | None = None,
    ) -> dict[str, float]:
        """One optimizer step on this process's 8-bit crops (b, px, px, 3) with label numbers y
        (b,).
        """
        cfg = self.cfg
        rng = torch.Generator().manual_seed(
            (cfg.seed * 1_000_003 + self.step) * self.ranks.world + self.ranks.rank
        )
        mix = (
            None
            if laboratories is None or self.maps is None
            else self.other_colours(self.maps, laboratories, rng)
        )
        x = augment_crops(
            images, other, cfg.window_px, self.network.image_px, cfg.jitter, rng, mix
        ).to(self.device)
        sigma = draw_sigma(len(x), cfg, rng).to(self.device)
        noise = torch.randn(x.shape, generator=rng).to(self.device)
        said = None if attributes is None else attributes.to(self.device)
        losses = self.losses(x, self.targets[y].to(self.device), sigma, noise, said)
        for group in self.optimizer.param_groups:
            group["lr"] = group.get("share", 1.0) * learning_rate(self.step, cfg)
        self.optimizer.zero_grad(set_to_none=True)
        sum((weight * loss for weight, loss in losses.values()), torch.zeros(())).backward()
        self.ranks.average(self.model)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), cfg.clip)
        self.optimizer.step()
        self.update_average()
        self.step += 1
        return {
            "step": self.step,
            **{name: loss.item() for name, (_, loss) in losses.items()},
            "grad_norm": norm.item(),
        }

    def other_colours(self, maps: Tensor, laboratories: Tensor, rng: torch.Generator) -> Tensor:
        """Matrices (b, 3, 3) that carry a share of the images, part or all of the way, to another
        laboratory's colours.
        """
        n = len(laboratories)
        target = torch.randint(0, len(maps), (n,), generator=rng)
        way = torch.rand(n, 1, 1, generator=rng) * 1.15
        chosen = (torch.rand(n, 1, 1, generator=rng) < self.cfg.jitter.laboratories).float()
        same = torch.eye(3)
        return same + chosen * way * (maps[laboratories, target] - same)

    @torch.no_grad()
    def update_average(self) -> None:
        decay = min(self.cfg.ema, (1 + self.step) / (10 + self.step))
        for key, value in self.model.state_dict().items():
            self.average[key].lerp_(
                value, 1 - decay
            ) if value.is_floating_point() else self.average[key].copy_(value)

    def averaged(self) -> NetworkType:
        model = self.new_model()
        model.eval()
        model.load_state_dict({k: v.cpu() for k, v in self.average.items()})
        return model

    def save(self, path: Path) -> None:
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        part = path.with_suffix(".part")
        torch.save(halved(state) if self.cfg.compact else state, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average = whole(state["average"])
        self.step = state["step"]


class Training(TrainingState[Denoiser]):
    """Training of the denoiser."""

    def new_model(self) -> Denoiser:
        return Denoiser(self.network)

    def begin_with(self, initial: Initial) -> None:
        """Take over weights, as `initial.begin_with`."""
        begin_with(self.model, initial, self.classes)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}

    def losses(
        self,
        x: Tensor,
        allowed: Tensor,
        sigma: Tensor,
        noise: Tensor,
        attributes: Tensor | None = None,
    ) -> dict[str, tuple[float, Tensor]]:
        """Denoising under the true class; cross-entropy of the logits -a(sigma) e(c), and of the
        guide's.

        The guide's goes straight to the trunk, which need not wait for the heads to part.
        Of a cell of which only the parent is known several classes are `allowed` (b, K): the
        logits' own shares among them weigh the errors.
        """
        with torch.autocast(x.device.type, torch.bfloat16):
            errors, features = self.model.errors_and_features(x, noise, sigma)
        features = features.float()
        logits = -self.model.log_gain(sigma).exp()[:, None] * errors
        guided = self.model.guide(features)
        share = logits.detach().masked_fill(~allowed, -torch.inf).softmax(dim=1)
        found = {
            "denoising": (1.0, (share * errors).sum(dim=1).mean()),
            "cross_entropy": (self.cfg.class_weight, partial_cross_entropy(logits, allowed)),
            "guide": (self.cfg.guide_weight, partial_cross_entropy(guided, allowed)),
        }
        heads = self.model.attributes
        if heads is not None and attributes is not None and (attributes >= 0).any():
            said = heads(features).split(list(self.network.attributes), dim=1)
            each = [
                F.cross_entropy(s, a, ignore_index=-1)
                for s, a in zip(said, attributes.T, strict=True)
                if (a >= 0).any()
            ]
            found["attributes"] = (self.cfg.attribute_weight * len(each), torch.stack(each).mean())
        return found


def partial_cross_entropy(logits: Tensor, allowed: Tensor) -> Tensor:
    """Mean negative log-probability of any of the allowed classes (b, K)."""
    reachable = logits.masked_fill(~allowed, -torch.inf)
    return (logits.logsumexp(dim=1) - reachable.logsumexp(dim=1)).mean()


@torch.no_grad()
def validate(model: Denoiser, x: Tensor, y: np.ndarray, draws: int = 4, seed: int = 1) -> float:
    """Balanced accuracy on inputs x (n, 3, px, px) after a few draws between sigma 0.25 and 1.5."""
    total = torch.zeros(())
    for i, s in enumerate(np.geomspace(0.25, 1.5, draws)):
        noise = torch.randn(1, *x.shape[1:], generator=torch.Generator().manual_seed(seed + i))
        sigma = torch.full((len(x),), float(s))
        with torch.autocast("cpu", torch.bfloat16):
            parts = zip(x.split(64), sigma.split(64), strict=True)
            errors = torch.cat(
                [model.errors(images, noise.expand_as(images), level) for images, level in parts]
            )
        total = total - model.log_gain(sigma).exp()[:, None] * errors
    right = total.argmax(1).numpy() == y
    return float(np.mean([right[y == c].mean() for c in np.unique(y)]))


def validation_set(
    data: LabelledCrops, cfg: TrainConfig, image_px: int, per_class: int = 40
) -> tuple[Tensor, np.ndarray]:
    """Unaugmented inputs, the same each time: up to `per_class` cells of each class, and as many of
    `other`.
    """
    chosen = np.concatenate(
        [spread(np.flatnonzero(data.labels == c), per_class) for c in range(len(data.classes))]
    )
    y = data.labels[chosen]
    if cfg.other and not cfg.sources:
        again = chosen[:per_class]
        chosen = np.concatenate([chosen, again])
        y = np.concatenate([y, np.full(len(again), len(data.classes))])
    rng = torch.Generator().manual_seed(7)
    still = Jitter(rotate=False, scale=0, shift_px=0)
    other = torch.from_numpy(y == len(data.classes))
    return view(
        torch.from_numpy(data.images[chosen]), other, cfg.window_px, image_px, still, rng
    ), y


def spread(numbers: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of them, evenly: sorted names put the subtypes of a class one after the
    other.
    """
    result: np.ndarray = numbers[
        np.linspace(0, len(numbers) - 1, min(count, len(numbers))).astype(int)
    ]
    return result


def train_model(
    cfg: TrainConfig,
    on_step: Callable[[dict[str, Any]], None] = lambda row: None,
    device: str = "cpu",
    ranks: Ranks = ALONE,
) -> Training:
    """Train to `cfg.steps`, going on from `cfg.out/last.pt` where there is one; rows go to
    `cfg.out/log.jsonl`.

    Of several processes the first one writes.

    Raises:
        DataError: the image folders cannot be trained on, or the checkpoint is of another
        configuration.
    """
    cfg.out.mkdir(parents=True, exist_ok=True)
    initial = read_initial(cfg.init) if cfg.init else None
    cfg = like(cfg, initial) if initial else cfg
    data, val, classes, values = read_data(cfg)
    cfg = (
        cfg
        if values is None
        else cfg.model_copy(update={"network": cfg.network | {"attributes": values}})
    )
    run = Training(cfg, classes, device, ranks)
    prepare(run, data)
    if ranks.rank == 0:
        keep_config(cfg, classes)
        keep_skipped(cfg.out, data.skipped | val.skipped)
    if (cfg.out / "last.pt").exists():
        run.load(cfg.out / "last.pt")
    elif initial:
        run.begin_with(initial)
    steps = rows(run, data, validation_set(val, cfg, run.network.image_px))
    if ranks.rank > 0:
        deque(steps, maxlen=0)
        return run
    with (cfg.out / "log.jsonl").open("a") as log:
        for row in steps:
            last = row.pop("last")
            if run.step % cfg.checkpoint_every == 0 or last:
                run.save(cfg.out / "last.pt")
            print(json.dumps(row), file=log, flush=True)
            on_step(row)
    return run


def prepare(run: TrainingState[TrunkNetwork], data: LabelledCrops) -> None:
    """Give a run what the labels of its crops allow, and the maps between the colours of their
    laboratories.
    """
    cfg = run.cfg
    if not cfg.sources:
        return
    run.targets = torch.from_numpy(targets_of(data.classes, cfg.parents, cfg.groups))
    if cfg.alike and data.laboratories is not None:
        run.maps = torch.from_numpy(colour_maps(data, cfg.window_px, cfg.alike))


def learn(
    run: TrainingState[TrunkNetwork], data: LabelledCrops, steps: range
) -> Iterator[dict[str, Any]]:
    """Step after step on balanced batches of the crops, and what each showed."""
    cfg = run.cfg
    ranks = run.ranks
    labels = len(data.classes) if cfg.sources else len(run.classes)
    around = data.classes.index(OTHER_CLASS) if OTHER_CLASS in data.classes else len(data.classes)
    for chosen, y in balanced_batches(data.labels, labels, cfg.batch, cfg.seed, steps, around):
        start = time.perf_counter()
        mine = ranks.part(chosen)
        numbers = torch.from_numpy(ranks.part(y))
        off = (numbers == around) & torch.from_numpy(data.labels[mine] != around)
        laboratories = (
            None if data.laboratories is None else torch.from_numpy(data.laboratories[mine])
        )
        attributes = None if data.attributes is None else torch.from_numpy(data.attributes[mine])
        images = torch.from_numpy(data.images[mine])
        row = run.advance(images, numbers, off, laboratories, attributes)
        row["images_per_s"] = len(chosen) / (time.perf_counter() - start)
        yield row


def rows(
    run: Training, data: LabelledCrops, validation: tuple[Tensor, np.ndarray]
) -> Iterator[dict[str, Any]]:
    """Every step to the last and what it showed; the first process also validates."""
    cfg = run.cfg
    used = seconds_logged(cfg.out, run.step) if cfg.minutes else 0.0
    steps = learn(run, data, range(run.step, MOST_STEPS if cfg.minutes else cfg.steps))
    while share_done(cfg, run.step, used) < 1:
        start = time.perf_counter()
        if cfg.minutes:
            run.cfg = paced(cfg, cfg, run.step, share_done(cfg, run.step, used))
        row = next(steps)
        used += time.perf_counter() - start
        last = share_done(cfg, run.step, used) >= 1
        if run.ranks.rank == 0 and (run.step % cfg.validate_every == 0 or last):
            row["val_balanced_accuracy"] = validate(run.averaged(), *validation)
        yield row | {"seconds": used, "last": last}


def share_done(cfg: TrainConfig, step: int, seconds: float) -> float:
    """How much of a training is done: of its minutes, where it has some, else of its steps."""
    return seconds / (60 * cfg.minutes) if cfg.minutes else step / cfg.steps


def seconds_logged(out: Path, step: int) -> float:
    """What the steps of a run up to its checkpoint took."""
    path = out / "log.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines if line.endswith("}")]
    return max((row.get("seconds", 0.0) for row in found if row["step"] <= step), default=0.0)


def read_data(
    cfg: TrainConfig,
) -> tuple[LabelledCrops, LabelledCrops, tuple[str, ...], tuple[int, ...] | None]:
    """Crops to train on and to validate on, the classes, and how many values each attribute has."""
    if not cfg.sources:
        data = read_crops(cfg.train_folder, cfg)
        return data, read_crops(cfg.val, cfg, data.classes), class_names(data, cfg), None
    classes = tuple(cfg.taxonomy)
    labels = cfg.labels
    table = read_attributes(cfg.attributes) if cfg.attributes else None
    data = read_sources(cfg.sources, cfg.crop_px, cfg.white, labels, table)
    home = cfg.sources[0].model_copy(update={"folder": cfg.val})
    val = read_sources(
        (home.model_copy(update={"held_out": 1}), *cfg.sources[1:]),
        cfg.crop_px,
        cfg.white,
        labels,
        held_out=True,
    )
    return data, val, classes, tuple(map(len, table.values.values())) if table else None


def like(cfg: TrainConfig, initial: Initial) -> TrainConfig:
    """The configuration with the network and the pixels of the weights that it begins with, where
    it names none.

    Raises:
        DataError: it names other pixels than those weights know.
    """
    theirs = {name: getattr(initial, name) for name in ("white", "window_px")}
    for name, value in theirs.items():
        if name in cfg.model_fields_set and getattr(cfg, name) != value:
            raise DataError(
                f"{cfg.init} was trained with {name} = {str(value).lower()}",
                "leave it out, or say the same",
            )
    return cfg.model_copy(update=theirs | {"network": cfg.network or initial.network})


def read_crops(folder: Path, cfg: TrainConfig, classes: tuple[str, ...] = ()) -> LabelledCrops:
    """The labelled crops of a folder as the net is to see them: with a white background where the
    configuration says so.
    """
    data = load_crops(folder, cfg.crop_px, classes)
    return replace(data, images=on_white(data.images)) if cfg.white else data


def keep_skipped(out: Path, skipped: dict[Path, str]) -> None:
    """Write which images were left out and why, to `out/skipped.json`."""
    (out / "skipped.json").write_text(
        json.dumps({str(path): why for path, why in skipped.items()}, indent=1) + "\n"
    )


def keep_config(cfg: TrainConfig, classes: tuple[str, ...]) -> None:
    """Write the resolved configuration beside the checkpoint; refuse to go on with another one."""
    path = cfg.out / "config.json"
    text = json.dumps({"config": cfg.model_dump(mode="json"), "classes": classes}, indent=1)
    if path.exists() and path.read_text() != text:
        raise DataError(
            f"{path} is of another configuration", "choose another `out` or remove that folder"
        )
    path.write_text(text)
