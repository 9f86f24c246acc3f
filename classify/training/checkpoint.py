"""Checkpoints of half the size, for a machine from which little can be carried (needs torch)."""

from typing import Any

import torch
from torch import Tensor


def halved(state: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint with the averages and the optimiser's moments in 16 bits; the weights stay
    whole.
    """
    moments = {
        number: {name: _as(value, torch.bfloat16) for name, value in kept.items()}
        for number, kept in state["optimizer"]["state"].items()
    }
    return state | {
        "average": {name: _as(value, torch.float16) for name, value in state["average"].items()},
        "optimizer": state["optimizer"] | {"state": moments},
    }


def whole(average: dict[str, Tensor]) -> dict[str, Tensor]:
    """Averages in 32 bits, however they were kept."""
    return {name: _as(value, torch.float32) for name, value in average.items()}


def _as(value: Tensor, kind: torch.dtype) -> Tensor:
    """A tensor of many numbers in another floating type; others as they are."""
    many = isinstance(value, Tensor) and value.is_floating_point() and value.numel() > 1
    return value.to(kind) if many else value
