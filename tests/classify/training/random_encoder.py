"""An encoder of a laboratory's own, as a recipe names it: four convolutions, at random."""

from torch import Tensor, nn

from classify.encoder import EncoderLike

CHANNELS = (8, 12, 16, 24)


class RandomEncoder(EncoderLike):
    skip_channels = CHANNELS

    def __init__(self, n_emb: int):
        super().__init__()
        self.levels = nn.ModuleList([nn.Linear(n_emb, c) for c in CHANNELS])
        steps = zip((3, *CHANNELS), CHANNELS, (4, 2, 2, 2), strict=False)
        self.stages = nn.ModuleList([nn.Conv2d(a, b, 3, s, 1) for a, b, s in steps])

    def forward(self, x: Tensor, emb: Tensor) -> list[Tensor]:
        found = []
        for stage, level in zip(self.stages, self.levels, strict=True):
            x = stage(x).relu() + level(emb)[:, :, None, None]
            found.append(x)
        return found
