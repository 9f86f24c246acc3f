"""The loop of a training, from its checkpoint to its last step (needs torch)."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from classify.errors import DataError
from classify.image_folder import OTHER_CLASS, LabelledCrops, balanced_batches
from classify.network import TrunkNetwork

from .data_parallel import Ranks
from .denoiser_training import Training, validate
from .initial_weights import Initial, read_initial
from .schedule import paced, seconds_logged, share_done
from .sources import colour_maps, targets_of
from .train_config import TrainConfig
from .training_crops import read_data, validation_set
from .training_state import ALONE, TrainingState

MOST_STEPS = 10_000_000


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
    targets = targets_of(data.classes, cfg.parents, cfg.groups)
    run.targets = torch.from_numpy(targets).to(run.device)
    if cfg.alike and data.laboratories is not None:
        maps = colour_maps(data, cfg.window_px, cfg.alike)
        run.maps = torch.from_numpy(maps).to(run.device)


def learn(
    run: TrainingState[TrunkNetwork], data: LabelledCrops, steps: range
) -> Iterator[dict[str, Any]]:
    """Step after step on balanced batches of the crops, and what each showed."""
    cfg = run.cfg
    ranks = run.ranks
    labels = len(data.classes) if cfg.sources else len(run.classes)
    around = data.classes.index(OTHER_CLASS) if OTHER_CLASS in data.classes else len(data.classes)
    # all crops lie on the device from the start: a GPU would wait for them at every step
    images = torch.from_numpy(data.images).to(run.device)
    known = torch.from_numpy(data.labels).to(run.device)
    laboratories = on_device(data.laboratories, run.device)
    attributes = on_device(data.attributes, run.device)
    for chosen, y in balanced_batches(data.labels, labels, cfg.batch, cfg.seed, steps, around):
        start = time.perf_counter()
        mine = torch.from_numpy(ranks.part(chosen)).to(run.device)
        numbers = torch.from_numpy(ranks.part(y)).to(run.device)
        off = (numbers == around) & (known[mine] != around)
        row = run.advance(
            images[mine],
            numbers,
            off,
            None if laboratories is None else laboratories[mine],
            None if attributes is None else attributes[mine],
        )
        row["images_per_s"] = len(chosen) / (time.perf_counter() - start)
        yield row


def on_device(column: np.ndarray | None, device: str) -> Tensor | None:
    return None if column is None else torch.from_numpy(column).to(device)


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
            row["val_balanced_accuracy"] = validate(run.averaged().to(run.device), *validation)
        yield row | {"seconds": used, "last": last}


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
