"""What a training holds between two steps, and the step (needs torch)."""

from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from classify.encoder import regularise
from classify.network import EncoderTrunk, NetworkConfig, Trunk, TrunkNetwork

from .augment import augment_crops
from .checkpoint import halved, whole
from .data_parallel import Ranks
from .muon import muon
from .schedule import draw_sigma, learning_rate
from .train_config import TrainConfig


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
        self.targets = torch.eye(len(classes), dtype=torch.bool, device=device)
        self.maps: Tensor | None = None
        self.model = self.new_model()
        if isinstance(self.model.trunk, EncoderTrunk):
            self.model.trunk.encoder.load_pretrained()
            regularise(self.model.trunk.encoder, cfg.frozen_statistics, cfg.mix_style)
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
        (b,), all on the device of the training.
        """
        cfg = self.cfg
        number = (cfg.seed * 1_000_003 + self.step) * self.ranks.world + self.ranks.rank
        torch.manual_seed(number)  # of what is drawn inside the network
        rng = torch.Generator(self.device).manual_seed(number)
        mix = (
            None
            if laboratories is None or self.maps is None
            else self.other_colours(self.maps, laboratories, rng)
        )
        x = augment_crops(images, other, cfg.window_px, self.network.image_px, cfg.jitter, rng, mix)
        sigma = draw_sigma(len(x), cfg, rng)
        noise = torch.randn(x.shape, generator=rng, device=rng.device)
        losses = self.losses(x, self.targets[y], sigma, noise, attributes)
        for group in self.optimizer.param_groups:
            group["lr"] = group.get("share", 1.0) * learning_rate(self.step, cfg)
        self.optimizer.zero_grad(set_to_none=True)
        none = torch.zeros((), device=self.device)
        sum((weight * loss for weight, loss in losses.values()), none).backward()
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
        place = rng.device
        target = torch.randint(0, len(maps), (n,), generator=rng, device=place)
        way = torch.rand(n, 1, 1, generator=rng, device=place) * 1.15
        drawn = torch.rand(n, 1, 1, generator=rng, device=place)
        chosen = (drawn < self.cfg.jitter.laboratories).float()
        same = torch.eye(3, device=place)
        return same + chosen * way * (maps[laboratories, target] - same)

    @torch.no_grad()
    def update_average(self) -> None:
        decay = min(self.cfg.ema, (1 + self.step) / (10 + self.step))
        now = self.model.state_dict()
        floating = [name for name, value in now.items() if value.is_floating_point()]
        averages = [self.average[name] for name in floating]
        torch._foreach_lerp_(averages, [now[name] for name in floating], 1 - decay)
        for name in now.keys() - set(floating):
            self.average[name].copy_(now[name])

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
