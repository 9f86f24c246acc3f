"""What keeps an encoder from leaning on one laboratory's look while it is trained (needs torch)."""

import torch
from torch import Tensor, nn

from classify.encoder import Encoder, EncoderLike

from .train_config import TrainConfig

MIXED_STAGES = (0, 1, 2)
SPREAD = 0.1  # of the Beta distribution that says how much of the own statistics is kept


def regularise(encoder: EncoderLike, cfg: TrainConfig) -> None:
    """Prepare an encoder as the recipe says: statistics frozen, MixStyle in its first stages."""
    if cfg.frozen_statistics:
        for module in encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    if cfg.mix_style and isinstance(encoder, Encoder):
        for stage in MIXED_STAGES:
            block = encoder.get_submodule(f"_blocks.{encoder.ends[stage]}")
            block.register_forward_hook(MixStyle(cfg.mix_style))


class MixStyle:
    """Features whose mean and spread are mixed with those of another image of the batch, in a share
    of the steps of a training (Zhou et al. 2021, arXiv 2104.02008).
    """

    def __init__(self, share: float):
        self.share = share

    def __call__(self, block: nn.Module, given: tuple[Tensor, ...], found: Tensor) -> Tensor | None:
        if not block.training or torch.rand(()) >= self.share:
            return None  # the features as they are
        mean = found.mean(dim=(2, 3), keepdim=True).detach()
        spread = found.std(dim=(2, 3), keepdim=True).detach() + 1e-5
        kept = torch.distributions.Beta(SPREAD, SPREAD).sample((len(found), 1, 1, 1)).to(found)
        other = torch.randperm(len(found), device=found.device)
        plain = (found - mean) / spread
        mixed_mean = kept * mean + (1 - kept) * mean[other]
        return plain * (kept * spread + (1 - kept) * spread[other]) + mixed_mean
