"""Can an expert tell made cells from real ones? A blinded test page, and what its answers say."""

import base64
import hashlib
import io
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.special import betaincinv

from classify.errors import DataError

_PAGE = "test.html"
KEY = "key.json"
ANSWERS = "answers.json"
SHOW_PX = 256
REAL = "real"
MADE = "generated"


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One picture (px, px, 3) uint8 of the test, its class, and whether it is `real` or
    `generated`.
    """

    picture: np.ndarray
    label: str
    truth: str


@dataclass(frozen=True, slots=True)
class Score:
    """How many were told rightly, of how many, and the 95 % Clopper-Pearson interval of that
    share.
    """

    right: int
    of: int
    interval: tuple[float, float]

    @property
    def accuracy(self) -> float:
        return self.right / self.of


def write_test(shown: list[Shown], folder: Path, seed: int = 0) -> Path:
    """Write `test.html`, which can be given to an expert, and `key.json`, which must not be;
    returns the page.

    Order and names tell nothing, every picture is written the same way, and the page does not hold
    the key.
    """
    order = np.random.default_rng(seed).permutation(len(shown))
    names = [f"{n:04d}" for n in range(len(shown))]
    pictures = {name: as_png(shown[i].picture) for name, i in zip(names, order, strict=True)}
    key = {
        name: {"truth": shown[i].truth, "label": shown[i].label}
        for name, i in zip(names, order, strict=True)
    }
    cells = json.dumps(pictures)
    test = hashlib.blake2b(cells.encode(), digest_size=8).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / KEY).write_text(json.dumps({"test": test, "key": key}, indent=1) + "\n")
    page = (files(__package__) / "authenticity.html").read_text()
    (folder / _PAGE).write_text(page.replace('"@cells@"', cells).replace("@test@", test))
    return folder / _PAGE


def as_png(picture: np.ndarray) -> str:
    out = io.BytesIO()
    Image.fromarray(picture).resize((SHOW_PX, SHOW_PX), Image.Resampling.BICUBIC).save(
        out, format="PNG"
    )
    return base64.b64encode(out.getvalue()).decode()


def score_answers(folder: Path, answers: Path) -> dict[str, Score]:
    """What an expert's answers are worth: of all, of the real and of the generated ones, and class
    by class.

    Raises:
        DataError: key or answers cannot be read, or the answers are of another test.
    """
    kept = read_json(folder / KEY)
    given = read_json(answers)
    key = kept.get("key", {})
    said = given.get("answers", {})
    told = {
        name: key[name]["truth"] == answer
        for name, answer in said.items()
        if name in key and answer in (REAL, MADE)
    }
    if not told or given.get("test") != kept.get("test"):
        raise DataError(
            f"{answers}: not answers to the test in {folder}",
            "save them from the page of that folder",
        )
    groups = {"all": list(told), REAL: [n for n in told if key[n]["truth"] == REAL]}
    groups[MADE] = [n for n in told if key[n]["truth"] == MADE]
    groups |= {
        label: [n for n in told if key[n]["label"] == label]
        for label in sorted({key[n]["label"] for n in told})
    }
    return {group: score_of([told[n] for n in names]) for group, names in groups.items() if names}


def read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read: {error}",
            "write the test with `cytostream authenticity FOLDER`",
        ) from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: no answers", "save them from the test page")
    return found


def score_of(told: list[bool]) -> Score:
    """The exact binomial interval (Clopper & Pearson 1934)."""
    right = sum(told)
    n = len(told)
    low = float(betaincinv(right, n - right + 1, 0.025)) if right else 0.0
    high = float(betaincinv(right + 1, n - right, 0.975)) if right < n else 1.0
    return Score(right, n, (low, high))
