"""The discriminative baseline: the denoiser's own trunk without noise, and one linear head (needs
torch).

It is given what the denoiser is given: crops, augmentation, sampling, optimiser, averaging,
minutes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from classify.network import EncoderTrunk, NetworkConfig, Trunk, TrunkNetwork
from classify.training import TrainingState, partial_cross_entropy

C_NOISE = 0.0  # the trunk's noise input, constant


class Classifier(TrunkNetwork):
    """Images (b, 3, px, px) in [-1, 1] -> logits (b, K); features are the trunk's finest and
    coarsest, pooled and joined.
    """

    def __init__(self, cfg: NetworkConfig):
        super().__init__()
        self.cfg = cfg
        self.trunk = EncoderTrunk(cfg) if cfg.encoder else Trunk(cfg)
        self.head: nn.Linear = nn.Linear(cfg.channels[0] + cfg.features, cfg.classes)

    def features(self, image: Tensor) -> Tensor:
        """Pooled features (b, channels[0] + channels[-1])."""
        emb = self.trunk.embed(torch.full((len(image),), C_NOISE, device=image.device))
        fine, coarse = self.trunk(2 * image, emb)
        return torch.cat([fine.mean(dim=(2, 3)), coarse], dim=1)

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = self.head(self.features(image).float())
        return result

    def errors(self, image: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        """Negative log-probabilities (b, K), as a denoiser gives errors; noise is left out."""
        return -F.log_softmax(self(image).float(), dim=1)

    def log_gain(self, sigma: Tensor) -> Tensor:
        return torch.zeros_like(sigma)


class BaselineTraining(TrainingState[Classifier]):
    """Training of a `Classifier` by the loop of the denoiser, with cross-entropy alone."""

    def new_model(self) -> Classifier:
        return Classifier(self.network)

    def losses(
        self,
        x: Tensor,
        allowed: Tensor,
        sigma: Tensor,
        noise: Tensor,
        attributes: Tensor | None = None,
    ) -> dict[str, tuple[float, Tensor]]:
        with torch.autocast(x.device.type, torch.bfloat16):
            logits = self.model(x)
        return {"cross_entropy": (1.0, partial_cross_entropy(logits, allowed))}


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
