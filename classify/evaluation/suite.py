"""What an evaluation does: data, axes, minutes; a TOML file, read once."""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from classify.errors import DataError

Fold = Field(3, ge=2, description="one patient in so many is tested on")


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LaboratoryData(Part):
    """Another lab's cells: normal ones in the model's classes and anomalous ones, file names
    beginning with the patient.
    """

    normal: Path
    anomaly: Path
    biological: tuple[str, ...] = ()
    not_a_cell: tuple[str, ...] = ()
    fold: int = Fold


class LowData(Part):
    """Trained from scratch on so many images a class."""

    images: tuple[int, ...] = (10, 20, 50)
    seeds: tuple[int, ...] = (0, 1)


class Minutes(Part):
    """Training minutes of each run, the same for ours and the baseline: of one core's time where
    the device is a CPU.
    """

    baseline: float = Field(60, gt=0, description="of the baseline that stands beside the model")
    held_out: float = Field(10, gt=0)
    low_data: float = Field(1.5, gt=0)
    fine_tune: float = Field(1.5, gt=0)


class Suite(Part):
    """The file holds only differences from these defaults; paths are relative to where the command
    runs, `recipe` to the file.
    """

    preset: str
    recipe: Path = Field(
        description="training configuration of every retrained model and of the baseline"
    )
    train: Path
    val: Path
    shift: dict[str, Path] = {}
    lab: LaboratoryData | None = None
    held_out: tuple[str, ...] = ()
    low_data: LowData | None = None
    minutes: Minutes = Minutes()
    baseline: Path | None = Field(
        None, description="folder of a baseline trained before, in place of training one"
    )
    generated: int = Field(
        32, ge=0, description="generated cells a class, for their quality; 0 leaves it out"
    )
    fine_tune_rate: float = Field(3e-4, gt=0, description="learning rate of fine-tuning")
    draws: int = Field(16, gt=0, description="draws a cell of retrained models")
    resamples: int = Field(1000, gt=0, description="of each bootstrap interval")
    device: Literal["cpu", "cuda"] = "cpu"

    @property
    def laboratory(self) -> LaboratoryData:
        """The other lab's cells.

        Raises:
            DataError: the suite names none.
        """
        if self.lab is None:
            raise DataError("the suite names no cells of another lab", "add a section [lab] to it")
        return self.lab


def read_suite(path: Path) -> Suite:
    """The suite of a TOML file, with its folders looked for.

    Raises:
        DataError: the file cannot be read, has an unknown key, or names a folder that is not there.
    """
    try:
        suite = Suite(**tomllib.loads(path.read_text()))
    except (OSError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise DataError(
            f"{path}: {what}", "see configs/evaluation/suite-quick.toml for one that works"
        ) from error
    suite = suite.model_copy(update={"recipe": path.parent / suite.recipe})
    for place in folders(suite):
        if not place.exists():
            raise DataError(
                f"{path}: {place} is not there",
                "mend the path, or leave that part of the suite out",
            )
    return suite


def folders(suite: Suite) -> list[Path]:
    labs = [suite.lab.normal, suite.lab.anomaly] if suite.lab else []
    kept = [suite.baseline] if suite.baseline else []
    return [suite.recipe, suite.train, suite.val, *suite.shift.values(), *labs, *kept]
