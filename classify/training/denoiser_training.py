"""Training of the denoiser: denoising loss plus cross-entropy over the negative class errors and
over a guide (needs torch).
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from classify.network import Denoiser

from .initial_weights import Initial, begin_with
from .training_state import TrainingState


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
    """Balanced accuracy on inputs x (n, 3, px, px) after a few draws between sigma 0.25 and 1.5,
    where the model is.
    """
    place = model.gain.device
    x = x.to(place)
    total = torch.zeros((), device=place)
    for i, s in enumerate(np.geomspace(0.25, 1.5, draws)):
        rng = torch.Generator().manual_seed(seed + i)
        noise = torch.randn(1, *x.shape[1:], generator=rng).to(place)
        sigma = torch.full((len(x),), float(s), device=place)
        with torch.autocast(place.type, torch.bfloat16):
            parts = zip(x.split(64), sigma.split(64), strict=True)
            errors = torch.cat(
                [model.errors(images, noise.expand_as(images), level) for images, level in parts]
            )
        total = total - model.log_gain(sigma).exp()[:, None] * errors
    right = total.argmax(1).cpu().numpy() == y
    return float(np.mean([right[y == c].mean() for c in np.unique(y)]))
