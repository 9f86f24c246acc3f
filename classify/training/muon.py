"""Muon: each weight matrix takes an orthogonal step (Jordan et al. 2024), what is no matrix one of
AdamW (needs torch).
"""

from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
ROUNDS = 5
QUINTIC = (3.4445, -4.7750, 2.0315)  # of Newton and Schulz's iteration, as Jordan chose them
# root mean square of AdamW's steps: with it both take the same learning rate (Liu et al. 2025,
# equation 4)
LIKE_ADAM = 0.2


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest half-orthogonal matrix to (rows, columns), roughly: singular values between about
    0.7 and 1.2.
    """
    x = matrix.bfloat16() if matrix.shape[0] <= matrix.shape[1] else matrix.T.bfloat16()
    x = x / (x.norm() + 1e-7)
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = (x if matrix.shape[0] <= matrix.shape[1] else x.T).float()
    return result


class Muon(torch.optim.AdamW):
    """AdamW whose groups marked `turned` take orthogonal steps instead; convolutions count as
    matrices (out, in * h * w).
    """

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = closure() if closure else None
        turned = [group for group in self.param_groups if group["turned"]]
        for group in turned:
            for p in group["params"]:
                self.turn(p, p.grad, group)
        held = [(p, p.grad) for group in turned for p in group["params"]]
        for p, _ in held:
            p.grad = None  # AdamW leaves what has no gradient alone
        super().step()
        for p, grad in held:
            p.grad = grad
        return loss

    def turn(self, p: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:  # "step" is for AdamW, which looks for it when it takes over what was kept
            state.update(momentum=torch.zeros_like(p), step=torch.zeros(()))
        momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        step = orthogonal(gradient.lerp(momentum, MOMENTUM).flatten(1))
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.sub_((group["lr"] * LIKE_ADAM * max(step.shape) ** 0.5 * step).view_as(p))


def muon(
    model: nn.Module,
    turned: list[nn.Module],
    lr: float,
    betas: tuple[float, float],
    weight_decay: float,
) -> Muon:
    """For all of a model's weights; the matrices of the modules `turned` take orthogonal steps."""
    matrices = [p for module in turned for p in module.parameters() if p.ndim > 1]
    ids = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in ids]
    groups = [{"params": matrices, "turned": True}, {"params": rest, "turned": False}]
    return Muon(groups, lr=lr, betas=betas, weight_decay=weight_decay)
