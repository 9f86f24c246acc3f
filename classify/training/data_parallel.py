"""One training by several processes: each takes its part of every batch, and their gradients are
averaged (needs torch).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import distributed, nn


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those of one training; alone by default."""

    rank: int = 0
    world: int = 1

    def part(self, batch: np.ndarray) -> np.ndarray:
        """This process's rows of a batch."""
        return batch[self.rank :: self.world]

    def average(self, model: nn.Module) -> None:
        """The mean of all processes' gradients, in place, in one message."""
        if self.world == 1:
            return
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        distributed.all_reduce(flat)
        for g, mean in zip(
            gradients, (flat / self.world).split([g.numel() for g in gradients]), strict=True
        ):
            g.copy_(mean.view_as(g))


def join(rank: int, world: int, device: str = "cpu") -> Ranks:
    """Meet the other processes that `torchrun` started; its environment says where."""
    distributed.init_process_group(
        "nccl" if device.startswith("cuda") else "gloo", rank=rank, world_size=world
    )
    return Ranks(rank, world)
