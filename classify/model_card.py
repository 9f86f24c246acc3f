"""A model that can be run: ONNX graph, its draws and calibration, and the card that says what
they are.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from .errors import ModelError

SHIPPED = Path(__file__).parent / "model"
SHORT_NAMES = {"white": SHIPPED, "red": SHIPPED / "red"}
_HALF_TABLES = ("noise", "channel_mean", "channel_spread")
GRAPH = "denoiser.onnx"
TABLES_FILE = "tables.npz"
CARD = "card.json"
SHEET_FILE = "cells.png"
# it becomes a folder, a column, an attribute: nothing that has a meaning there
NOT_IDENTITY = {"figures", "feature_layer"}  # words about the model
CLASS_NAME = r"[A-Za-z0-9][A-Za-z0-9_ -]{0,63}"
ClassName = Annotated[str, StringConstraints(pattern=f"^{CLASS_NAME}$")]


class ClassEntry(BaseModel):
    """One class of a taxonomy: the class of a classical differential that it belongs to, and how
    people and systems name it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parent: ClassName
    code: str = Field("", max_length=8, description="short code for tables")
    title: str = Field("", description="plain name")
    loinc: str = Field("", description="LOINC code of its share of the white cells")
    snomed: str = Field("", description="SNOMED CT code of the kind of cell")
    prior: float = Field(
        1.0, gt=0, description="how common it is beside the others, before anything is seen"
    )
    normal: bool = Field(
        True, description="cells of it are normal: what is unlike all normal cells is an anomaly"
    )
    beside: tuple[ClassName, ...] = Field(
        (), description="classes that it shades into: they do not speak against it in a search"
    )


class CellSize(BaseModel):
    """How the finder sees cells of a class: its area is log-normal, and `white` the share that is
    found as a white cell, the rest as a platelet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_mean: float = Field(description="of the area in um2, natural logarithm")
    log_spread: float = Field(gt=0, description="standard deviation of that logarithm")
    white: float = Field(gt=0, lt=1)
    cells: int = Field(ge=1, description="how many were measured")


class Card(BaseModel):
    """What the model is, in words and numbers that a person can check."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    classes: tuple[ClassName, ...] = Field(min_length=2)
    taxonomy: dict[str, ClassEntry] = Field(
        {}, description="of each class; empty: every class is its own parent"
    )
    crop_um: float = Field(
        gt=0, description="side of the square around the cell that the model is given"
    )
    crop_px: int = Field(gt=0)
    window_px: int = Field(
        gt=0, description="central part of the crop that the model looks at, in crop px"
    )
    image_px: int = Field(gt=0, description="side of the model's own pixels of that window")
    white: bool = Field(
        False, description="the crop's background is made white before the model sees it"
    )
    sigmas: tuple[float, ...] = Field(
        min_length=1, description="noise level of each draw, in order"
    )
    error_level: float = Field(
        gt=0, lt=1, description="how often elimination may decide otherwise than all draws would"
    )
    elimination: float = Field(
        gt=0, lt=1, description="a class whose chance of being the label falls below this is out"
    )
    screen: float = Field(
        0.7,
        gt=0,
        le=1,
        description="a cell with a higher anomaly score than this takes `screen_draws` before it "
        "is judged",
    )
    screen_draws: int = Field(
        4, ge=1, description="draws after which the anomaly score of a cell is known"
    )
    coverage: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="how often the classes that a cell may be of hold the right one",
    )
    precisions: tuple[str, ...] = Field(
        ("f32",), description="arithmetic that keeps the decisions, fastest first"
    )
    feature_count: int = Field(
        0, ge=0, description="how many features the graph gives; 0: as the network's last channels"
    )
    feature_layer: str = Field(
        "", description="what the features are: the layer, and what they are averaged over"
    )
    attributes: dict[str, tuple[str, ...]] = Field(
        {}, description="morphology attributes and their values, in order"
    )
    sizes: dict[ClassName, CellSize] = Field(
        {}, description="area and kind of cells as found; a class without is told by its looks"
    )
    training: dict[str, Any]
    data: dict[str, str]
    figures: dict[str, dict[str, Any]] = {}
    sha256: dict[str, str]

    @property
    def model_id(self) -> str:
        """Changes with the graph, the draws and the calibration; what the card says beside them
        does not count.
        """
        return hashlib.sha256(self.model_dump_json(exclude=NOT_IDENTITY).encode()).hexdigest()[:12]

    @property
    def counted(self) -> tuple[str, ...]:
        """Classes of a differential count; `other` is not a cell to count."""
        return tuple(c for c in self.classes if c != "other")

    def parent_of(self, name: str) -> str:
        """The class of a classical differential that a class belongs to; itself where the taxonomy
        has none.
        """
        return self.taxonomy[name].parent if name in self.taxonomy else name

    def is_normal(self, name: str) -> bool:
        """Whether healthy or reactive blood has the class; so where the taxonomy says nothing."""
        return name not in self.taxonomy or self.taxonomy[name].normal

    @property
    def parents(self) -> tuple[str, ...]:
        """Every class's parent once, in the order of the classes."""
        return tuple(dict.fromkeys(self.parent_of(name) for name in self.classes))

    @property
    def window_um(self) -> float:
        """Side of what the model looks at."""
        return self.crop_um * self.window_px / self.crop_px

    @property
    def features(self) -> int:
        """How many numbers the trunk pools a noisy image into."""
        return self.feature_count or self.training["network"]["channels"][-1]

    @property
    def disc_fraction(self) -> float:
        """Radius of the disc that errors are summed over, in half widths of the image."""
        result: float = self.training.get("network", {}).get("disc_fraction", 0.84)
        return result


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A checked model. D draws, K classes, px = card.image_px, n in 1..D draws used.

    `noise` (D, 3, px, px) float32; `turn` (D,), how the cell lies in each draw
    (`pixels.turned`), 0 where the tables have none;
    `weight` (D,) of each draw, where `gain` (2,) is the log a(sigma) of training; `temperature`
    (D,), for logits after n draws;
    `settling` (D,), what sharpens probabilities into chances of being the label by all draws
    (`elimination.chance_of`);
    `bias` (K,), added to the logits: none but what a laboratory's own labelled cells set;
    `mean`, `spread` (D, K): errors that normal cells of a class have under it; `centre`,
    `covariance`, `parts`, `part_tails`, `part_weights`,
    `normal` and `tail` as `oddity.Oddity` has them. Of calibration cells as the judge ends
    them: `ill` (K, q), how ill their own
    class suits them (`conformal.label_scores`); `usual` (K, q) sorted, the absolute anomaly of
    those called a class.
    `channel_mean` and `channel_spread` (K, C): mean and standard deviation of the encoder's
    channels in a class's cells at home, 0 and 0 of a class that none were measured of.
    `attribute_rates` (K, V): how often the card's attribute values are seen in a class, 0 where not
    known.
    `guide` (F + 1, K) and `attributes` (F + 1, V) map features to logits of the classes and of
    the card's attribute values;
    their last rows are added.
    """

    card: Card
    graph: Path
    sigma: np.ndarray
    noise: np.ndarray
    weight: np.ndarray
    temperature: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    normal: np.ndarray
    settling: np.ndarray | None = None
    centre: np.ndarray | None = None
    covariance: np.ndarray | None = None
    parts: np.ndarray | None = None
    part_tails: np.ndarray | None = None
    part_weights: np.ndarray | None = None
    tail: np.ndarray | None = None
    ill: np.ndarray | None = None
    usual: np.ndarray | None = None
    turn: np.ndarray = field(default_factory=lambda: np.zeros(0))
    gain: np.ndarray | None = None
    guide: np.ndarray | None = None
    attributes: np.ndarray | None = None
    channel_mean: np.ndarray | None = None
    channel_spread: np.ndarray | None = None
    attribute_rates: np.ndarray | None = None

    def __post_init__(self) -> None:
        turn = self.turn if len(self.turn) else np.zeros(len(self.sigma))
        object.__setattr__(self, "turn", turn.astype(int))

    @property
    def model_id(self) -> str:
        """The card's."""
        return self.card.model_id


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def model_folder(model: Path) -> Path:
    """The folder of a shipped model's short name, `white` or `red`; a folder itself."""
    return SHORT_NAMES.get(str(model), model)


def read_card(folder: Path) -> Card:
    """The card of a model folder.

    Raises:
        ModelError: there is none, or it is not a card.
    """
    folder = model_folder(folder)
    try:
        return Card(**json.loads((folder / CARD).read_text()))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise ModelError(
            f"{folder}: no model card that can be read: {error}",
            "export one with `cytostream export`",
        ) from error


def load_model(folder: Path = SHIPPED) -> Model:
    """Read and check a model: its folder, or the short name of a shipped one.

    Raises:
        ModelError: a file is absent or is not the one that the card names.
    """
    folder = model_folder(folder)
    card = read_card(folder)
    for name in (GRAPH, TABLES_FILE):
        expected = card.sha256.get(name)
        if not (folder / name).is_file() or sha256_of(folder / name) != expected:
            raise ModelError(
                f"{folder / name}: not the file that its card names",
                "export the model again, or restore the file",
            )
    try:
        with np.load(folder / TABLES_FILE) as tables:
            return Model(
                card, folder / GRAPH, **{k: tables[k].astype(np.float32) for k in tables.files}
            )
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{folder / TABLES_FILE}: of another version of cytostream: {error}",
            "export the model again",
        ) from error


def save_tables(folder: Path, tables: dict[str, np.ndarray]) -> None:
    halves = {name: tables[name].astype(np.float16) for name in _HALF_TABLES if name in tables}
    kept: dict[str, Any] = {**tables, **halves}
    np.savez_compressed(folder / TABLES_FILE, **kept)


def write_card(folder: Path, facts: dict[str, Any]) -> Card:
    """Write the card with the digests of the files as they are."""
    card = Card(**facts, sha256={name: sha256_of(folder / name) for name in (GRAPH, TABLES_FILE)})
    (folder / CARD).write_text(card.model_dump_json(indent=1) + "\n")
    return card


def read_sheet(rows: int, folder: Path = SHIPPED) -> np.ndarray:
    """The generated cells of a model (rows, columns, px, px, 3) uint8: a row a class, the last row
    of no class at all.

    Raises:
        ModelError: the sheet is absent.
    """
    path = folder / SHEET_FILE
    try:
        sheet = np.asarray(Image.open(path).convert("RGB"))
    except OSError as error:
        raise ModelError(f"{path}: {error}", "install cytostream again") from error
    px = sheet.shape[0] // rows
    return sheet.reshape(rows, px, sheet.shape[1] // px, px, 3).transpose(0, 2, 1, 3, 4)
