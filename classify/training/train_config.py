"""What a training is made of: the recipe that `cytostream train` reads."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from classify.anomaly import ANOMALY_WEIGHTS
from classify.errors import DataError
from classify.image_folder import Source
from classify.model_card import ClassEntry

from .augment import Jitter


class TrainConfig(BaseModel):
    """What `cytostream train CONFIG` reads; the file holds only differences from these defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Path | None = None
    val: Path
    sources: tuple[Source, ...] = Field(
        (), description="folders of several laboratories, in place of `train`"
    )
    taxonomy: dict[str, ClassEntry] = Field(
        {}, description="the classes; empty: the folders of `train` are the classes"
    )
    data: dict[str, str] = Field(
        {}, description="what the card says of the data: name, licence, source"
    )
    groups: dict[str, tuple[str, ...]] = Field(
        {}, description="label = the classes it may stand for, where no parent is"
    )
    alike: tuple[str, ...] = Field(
        (), description="labels whose cells tell the colours of laboratories apart"
    )
    attributes: Path | None = Field(
        None, description="table of morphology attributes by image name"
    )
    attribute_weight: float = Field(0.2, ge=0)
    encoder_rate: float = Field(
        1.0, gt=0, description="learning rate of a pretrained encoder, as a share"
    )
    out: Path = Path("runs/first")
    steps: int = Field(4500, gt=0)
    batch: int = Field(64, gt=0)
    learning_rate: float = Field(7e-4, gt=0)
    warmup_steps: int = 200
    cooldown_share: float = Field(
        1.0, gt=0, le=1, description="last share of training over which the learning rate falls"
    )
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.998
    class_weight: float = Field(
        0.1, ge=0, description="weight of the cross-entropy beside the denoising loss"
    )
    guide_weight: float = Field(
        0.0, ge=0, description="weight of a second one, of a linear layer that only training has"
    )
    frozen_statistics: bool = Field(
        False, description="batch norms of a pretrained encoder keep its statistics"
    )
    mix_style: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of steps in which images mix statistics of the encoder's first stages",
    )
    optimizer: Literal["adamw", "muon"] = "adamw"
    sigma_centre: float = 0.6
    sigma_spread: float = 0.9
    wide_share: float = Field(
        0.15, ge=0, le=1, description="share of noise levels drawn log-uniformly over [0.01, 60]"
    )
    crop_px: int = 128
    crop_um: float = 36.0
    window_px: int = 96
    white: bool = Field(
        False, description="make the background of every crop white before anything else"
    )
    other: bool = Field(True, description="add the class of what surrounds the cells")
    network: dict[str, Any] = {}
    jitter: Jitter = Jitter()
    init: Path | None = Field(
        None, description="model or training run whose weights to begin with: fine-tuning"
    )
    minutes: float = Field(
        0.0, ge=0, description="wall time to train for, which the schedule follows; 0: the steps"
    )
    compact: bool = Field(
        False, description="checkpoints of half the size: averages and moments in 16 bits"
    )
    anomaly_weights: tuple[float, float, float] = Field(
        ANOMALY_WEIGHTS,
        description="of the anomaly score's parts: no class stands out, none explains the cell, "
        "the pattern of their errors",
    )
    error_level: float = Field(
        0.005, gt=0, lt=1, description="how often elimination may decide otherwise than all draws"
    )
    seed: int = 0
    checkpoint_every: int = 150
    validate_every: int = 450

    @field_validator("taxonomy", mode="before")
    @classmethod
    def _from_parents(cls, value: dict[str, object]) -> dict[str, object]:
        """A class may be given as the name of its parent alone."""
        return {
            name: {"parent": entry} if isinstance(entry, str) else entry
            for name, entry in value.items()
        }

    @property
    def train_folder(self) -> Path:
        """Where the training cells of a single laboratory lie.

        Raises:
            DataError: the file names none.
        """
        if self.train is None:
            raise DataError("no cells to train on", "name a folder with `train`, or `sources`")
        return self.train

    @property
    def parents(self) -> dict[str, str]:
        """Each class's parent."""
        return {name: entry.parent for name, entry in self.taxonomy.items()}

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, and after them the parents and groups that sources name."""
        said = {label for source in self.sources for label in source.labels.values()}
        return (*self.taxonomy, *sorted(said - set(self.taxonomy)))
