"""What follows the steps of a training: learning rate, noise levels; a schedule by wall time."""

import json
import math
from pathlib import Path

import torch
from torch import Tensor

from .train_config import TrainConfig

WARMUP_SHARE = 0.08


def draw_sigma(n: int, cfg: TrainConfig, rng: torch.Generator) -> Tensor:
    """Noise levels (n,): log-normal where classes part, some over the whole range for
    generation.
    """
    place = rng.device
    normal = torch.randn(n, generator=rng, device=place)
    main = math.log(cfg.sigma_centre) + cfg.sigma_spread * normal
    wide = math.log(0.01) + math.log(6000) * torch.rand(n, generator=rng, device=place)
    chosen = torch.rand(n, generator=rng, device=place) < cfg.wide_share
    return torch.where(chosen, wide, main).exp()


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


def share_done(cfg: TrainConfig, step: int, seconds: float) -> float:
    """How much of a training is done: of its minutes, where it has some, else of its steps."""
    return seconds / (60 * cfg.minutes) if cfg.minutes else step / cfg.steps


def seconds_logged(out: Path, step: int) -> float:
    """What the steps of a run up to its checkpoint took."""
    path = out / "log.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines if line.endswith("}")]
    return max((row.get("seconds", 0.0) for row in found if row["step"] <= step), default=0.0)
