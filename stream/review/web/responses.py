"""What the API says, in the shapes of its OpenAPI document, and how it is made from what the other
modules know.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import NamedTuple

from pydantic import BaseModel

from classify import UNIDENTIFIED
from stream.config import ReviewSettings
from stream.events import JsonObject
from stream.review.cell_classes import Scheme, keys_of
from stream.review.detections import Detection
from stream.review.differential import (
    DifferentialLine,
    differential,
    total_lines,
    white_cells,
)
from stream.review.red_cells import RedDetection
from stream.review.review_state import Decision, Standing
from stream.review.slides import SlideView
from stream.review.verification import missing_looks, small_count, verification
from stream.review.versions import changes_since
from stream.review.worklist import WorklistRow


class CellResponse(NamedTuple):
    """A cell as a gallery needs it; `label` is a place in `classes`, probabilities and anomaly are
    in thousandths. A cell that a person has marked has no row (0).
    """

    row: int
    cell_id: str
    label: int
    sureness: int
    anomaly: int
    x_px0: int
    y_px0: int
    box_x0: int
    box_y0: int
    box_x1: int
    box_y1: int
    marked_by: str = ""


class DecisionSays(BaseModel):
    label: str
    how: str
    by: str
    at: str
    number: int


class ClassSays(BaseModel):
    name: str
    title: str
    key: str
    white: bool
    low: float | None
    high: float | None
    colour: str


class AlertSays(BaseModel):
    alert_id: str
    cell_id: str | None
    rule: str
    severity: str
    score: float
    threshold: float
    reason: str
    cell_ids: tuple[str, ...]
    advice: str
    seen_by: str | None
    seen_at: str | None


class CommentSays(BaseModel):
    cell_id: str | None
    place_px0: tuple[int, int] | None
    text: str
    by: str
    at: str
    number: int


class SignatureSays(BaseModel):
    version: int
    by: str
    at: str
    number: int
    comment: str | None


class StandingSays(BaseModel):
    """Where the review of a slide stands; `number` is the last entry of the trail that it holds,
    `second` what this person calls cells as a second reader.
    """

    number: int
    version: int
    locked: bool
    amending: str
    late_cells: int
    can_undo: bool
    second: dict[str, str]
    assigned_to: str
    stat: bool
    signatures: list[SignatureSays]
    comments: list[CommentSays]


class VerifiedClass(BaseModel):
    """Cells of one class that people decided on one by one, together with others, or (the rest of
    `count`) not at all.
    """

    name: str
    title: str
    white: bool
    count: int
    single: int
    together: int


class BeforeSigning(BaseModel):
    """What a person should know before a signature, of cells of the count and of the judged red
    cells (`red_classes`); `missing` is what the laboratory's rule still asks for, `changes` what an
    amendment has changed since the last signed version; `identity` has the fields of whose slide it
    is, `identity_digest` goes back with the signature; `seen_share` is the share of the slide that
    this person has had on the screen, None where it cannot be shown.
    """

    classes: list[VerifiedClass]
    red_classes: list[VerifiedClass]
    warnings: list[str]
    missing: str
    changes: list[str]
    identity: dict[str, str] = {}
    identity_digest: str | None = None
    seen_share: float | None = None


class ViewSays(BaseModel):
    """How to show the slide: tiles of `tile_px`, `levels` of them, the last one in level-0 px."""

    available: bool
    changed: bool = False
    width_px0: int
    height_px0: int
    mpp: float
    levels: int
    tile_px: int


class Changes(BaseModel):
    """What lies beyond a row of the journal and an entry of the trail; `more` where another page of
    cells waits. `unmarked` are marked cells that were taken back.
    """

    cells: list[CellResponse]
    unmarked: list[str]
    more: bool
    decisions: dict[str, DecisionSays | None]
    standing: StandingSays
    alerts: list[AlertSays]
    failures: list[JsonObject]
    differential: list[DifferentialLine]
    totals: list[DifferentialLine]
    white_cells: int
    row: WorklistRow


class SlideSays(BaseModel):
    """What does not change while a slide is looked at."""

    slide_id: str
    name: str
    other_names: list[str]
    classes: list[ClassSays]
    own_keys: dict[str, str]
    goal: int
    model_classes: list[str]
    view: ViewSays
    provenance: JsonObject
    reasons: bool
    shows_identity: bool


def cell_row(cell: Detection, places: dict[str, int]) -> CellResponse:
    shares = round(1000 * cell.sureness), round(1000 * cell.anomaly)
    place = cell.x_px0, cell.y_px0, *cell.box_px0
    row = max(cell.row, 0)
    return CellResponse(row, cell.cell_id, places[cell.label], *shares, *place, cell.marked_by)


def red_row(cell: RedDetection, places: dict[str, int]) -> CellResponse:
    """A red cell as a gallery needs it; its row is its place among the judged ones, from 1."""
    shares = round(1000 * cell.sureness), round(1000 * cell.anomaly)
    place = cell.x_px0, cell.y_px0, *cell.box_px0
    return CellResponse(cell.place + 1, cell.cell_id, places[cell.label], *shares, *place)


def decision_says(decision: Decision | None) -> DecisionSays | None:
    if decision is None:
        return None
    return DecisionSays(
        label=decision.label,
        how=decision.how,
        by=decision.by,
        at=decision.at.isoformat(),
        number=decision.number,
    )


def classes_say(shelf: SlideView, chosen: Mapping[str, str]) -> list[ClassSays]:
    """The classes of a slide; the keys that a person has `chosen` come before the laboratory's."""
    kept = shelf.scheme
    names = [each.name for each in kept.classes if each.name != UNIDENTIFIED]
    taken = set(chosen.values())
    laboratory = {
        each.name: each.key for each in kept.classes if each.key and each.key not in taken
    }
    keys = keys_of(names, {**laboratory, **chosen})
    own = [replace(each, key=keys.get(each.name, each.key)) for each in kept.classes]
    return kinds_say(replace(kept, classes=tuple(own)))


def kinds_say(scheme: Scheme) -> list[ClassSays]:
    wanted = ClassSays.model_fields
    return [
        ClassSays(**{k: v for k, v in asdict(c).items() if k in wanted}) for c in scheme.classes
    ]


def lines_say(
    shelf: SlideView, standing: Standing
) -> tuple[list[DifferentialLine], list[DifferentialLine], int]:
    """The lines of the count, the totals of finer classes, and how many white cells there are."""
    counts = shelf.counts(standing)
    lines = differential(shelf.scheme, counts)
    totals = total_lines(shelf.scheme, counts)
    return lines, totals, white_cells(lines)


def alerts_say(shelf: SlideView, standing: Standing) -> list[AlertSays]:
    says = []
    for alert in shelf.told.alerts.values():
        seen = standing.seen.get(alert.alert_id)
        says.append(
            AlertSays(
                **asdict(alert), seen_by=seen and seen.by, seen_at=seen and seen.at.isoformat()
            )
        )
    return says


def signing_says(shelf: SlideView, rules: ReviewSettings) -> BeforeSigning:
    found = verification(shelf.scheme, shelf.standing, shelf.cells(shelf.standing))
    few = small_count(sum(each.count for each in found if each.white))
    reds = verification(shelf.reds.scheme, shelf.standing, shelf.reds.by_id.values())
    unfit = [f"Unfit for reading: {why}." for why in shelf.facts().get("unfit") or ()]
    return BeforeSigning(
        classes=[VerifiedClass(**asdict(each)) for each in found],
        red_classes=[VerifiedClass(**asdict(each)) for each in reds],
        warnings=[few, *unfit] if few else unfit,
        missing=missing_looks(found, rules),
        changes=changes_since(shelf, shelf.standing),
    )


def standing_says(shelf: SlideView, by: str) -> StandingSays:
    standing = shelf.standing
    return StandingSays(
        number=standing.number,
        version=standing.version,
        locked=standing.locked,
        amending=standing.amending,
        late_cells=len(shelf.found.cells) - len(shelf.found_cells(standing)),
        second=standing.second.get(by, {}),
        assigned_to=standing.assignment.to if standing.assignment else "",
        stat=bool(standing.assignment and standing.assignment.stat),
        can_undo=not standing.locked and standing.undoable(by) is not None,
        signatures=[
            SignatureSays(
                version=s.version, by=s.by, at=s.at.isoformat(), number=s.number, comment=s.comment
            )
            for s in standing.signatures
        ],
        comments=[
            CommentSays(
                cell_id=c.cell_id,
                place_px0=c.place_px0,
                text=c.text,
                by=c.by,
                at=c.at.isoformat(),
                number=c.number,
            )
            for c in standing.comments
        ],
    )


def decisions_since(shelf: SlideView, reviewed: Iterable[str]) -> dict[str, DecisionSays | None]:
    return {c: decision_says(shelf.standing.decisions.get(c)) for c in dict.fromkeys(reviewed)}
