"""`make golden`: writes down what the shipped models say of the cells that they ship, for
`tests/classify/test_golden_verdicts.py`. To be run when a model is exchanged, and only then; the
difference is for a person to read.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from classify import SHIPPED, Verdict, judge, load_model, open_engine
from classify.model_card import SHEET_FILE, Model

MODELS = {"white": SHIPPED, "red": SHIPPED / "red"}
FILES = Path(__file__).parents[2] / "classify" / "golden"
COLUMNS = 2  # cells of each row of the sheet
GLASS = (246, 240, 230)
DIGITS = 4
# how far the same verdict may be from the one written down: another processor rounds otherwise
TOLERANCES = {
    "f32": {"probability": 0.005, "anomaly": 0.01, "draws": 1, "labels": 0},
    "bf16": {"probability": 0.15, "anomaly": 0.15, "draws": 8, "labels": 2},
}
GoldenVerdict = dict[str, str | int | bool | float | list[str] | dict[str, float]]


def shipped_cells(model: Model) -> list[np.ndarray]:
    """Crops (px, px, 3) of the first cells of each row of the model's sheet, on glass; the sheet
    has them as the model looks at them.
    """
    card = model.card
    sheet = np.asarray(Image.open(model.graph.parent / SHEET_FILE).convert("RGB"))
    side = card.window_px
    margin = (card.crop_px - side) // 2
    crops = []
    for top in range(0, sheet.shape[0], side):
        for left in range(0, COLUMNS * side, side):
            crop = np.full((card.crop_px, card.crop_px, 3), GLASS, np.uint8)
            crop[margin : margin + side, margin : margin + side] = sheet[
                top : top + side, left : left + side
            ]
            crops.append(crop)
    return crops


def written(verdict: Verdict) -> GoldenVerdict:
    """A verdict as JSON values."""
    return {
        "label": verdict.label,
        "parent": verdict.parent,
        "scores": {name: round(p, DIGITS) for name, p in verdict.scores.items()},
        "anomaly": round(verdict.anomaly.score, DIGITS),
        "draws": verdict.draws,
        "decided": verdict.decided,
        "may_be": list(verdict.may_be),
    }


def shipped_verdicts(model: Model, precision: str) -> list[GoldenVerdict]:
    """What the model says of its own cells in an arithmetic, in order."""
    engine = open_engine(model, "openvino", precision)
    found = dict(judge(enumerate(shipped_cells(model)), engine, model))
    return [written(found[number]) for number in sorted(found)]


def main() -> None:
    for name, folder in MODELS.items():
        model = load_model(folder)
        made = {
            "made_by": "make golden",
            "model_id": model.model_id,
            "verdicts": shipped_verdicts(model, "f32"),
        }
        path = FILES / f"{name}.json"
        lines = ",\n".join(f"  {json.dumps(one)}" for one in made.pop("verdicts"))
        head = json.dumps(made, indent=1)[:-2]
        path.write_text(f'{head},\n "verdicts": [\n{lines}\n ]\n}}\n')
        print(f"{path}: {model.model_id}")


if __name__ == "__main__":
    main()
