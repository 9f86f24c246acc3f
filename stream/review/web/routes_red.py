"""The red cells of a slide: its page, what the page shows, and the picture of one cell. Decisions
on them go where those on white cells go.
"""

from dataclasses import asdict

import numpy as np
from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel

from stream.events import JsonObject
from stream.review.red_cells import RedDetection
from stream.review.report import RedLine, red_lines, red_sentences
from stream.review.slides import SlideView

from . import responses as says
from .dependencies import REFUSALS, CellId, Having, Shelf, SlideId, Viewing
from .routes_pages import page
from .routes_read import LATER

red_router = APIRouter(prefix="/api/slides/{slide_id}/red", responses=REFUSALS)
red_pages_router = APIRouter(include_in_schema=False)
HISTOGRAM_UM = np.linspace(3.0, 12.0, 37)  # edges, in diameter


class SizeHistogram(BaseModel):
    """Shares of cells by diameter between `edges_um`: of all judged cells, of those called normal;
    `normal_um` is what the laboratory's normal red cells measure.
    """

    edges_um: list[float]
    cells: list[float]
    normal_cells: list[float]
    normal_um: tuple[float, float]


class RedLineResponse(BaseModel):
    name: str
    title: str
    count: int
    percent: float
    low: float
    high: float
    grade: int


class RedFigures(BaseModel):
    """What follows from the cells as people call them: kinds with grades, and what a report
    says.
    """

    judged: int
    lines: list[RedLineResponse]
    sentences: list[str]


class RedCellsResponse(BaseModel):
    """The judged red cells of a slide; `cells` as in `Changes`, their measurements beside them."""

    name: str
    classes: list[says.ClassSays]
    cells: list[says.CellResponse]
    measures: list[tuple[float, float, float]]
    decisions: dict[str, says.DecisionSays | None]
    standing: says.StandingSays
    mpp: float | None
    sizes: SizeHistogram
    figures: RedFigures


@red_pages_router.get("/slides/{slide_id}/red")
def red_page(request: Request, slide_id: SlideId, parts: Having) -> Response:
    if slide_id not in parts.library:
        return page(request, parts, "absent.html")
    return page(request, parts, "red.html", slide_id=slide_id)


@red_router.get("")
def red_cells(shelf: Shelf, parts: Having, person: Viewing) -> RedCellsResponse:
    """All judged red cells, with the figures as they stand."""
    reds = shelf.reds
    facts = shelf.facts()
    places = {name: place for place, name in enumerate(reds.scheme.names)}
    with shelf.lock:
        decided = {name: shelf.standing.decisions.get(name) for name in reds.by_id}
        return RedCellsResponse(
            name=parts.board.name(shelf.slide_id, facts),
            classes=says.kinds_say(reds.scheme),
            cells=[says.red_row(cell, places) for cell in reds.by_id.values()],
            measures=[(c.area_um2, c.roundness, c.pallor) for c in reds.by_id.values()],
            decisions={n: says.decision_says(d) for n, d in decided.items() if d},
            standing=says.standing_says(shelf, person.name),
            mpp=facts.get("mpp"),
            sizes=sizes_of(shelf, parts.config.red_cells.normal_diameter_um),
            figures=figures_of(shelf),
        )


@red_router.get("/figures")
def red_figures(shelf: Shelf) -> RedFigures:
    """Kinds and grades as people call the cells now."""
    return figures_of(shelf)


@red_router.get(
    "/{cell_id}/image",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}, "description": "a picture"}},
)
def red_image(shelf: Shelf, cell_id: CellId, parts: Having) -> Response:
    """A red cell in the square that the model was given."""
    cell = shelf.reds.by_id.get(cell_id)
    if cell is None:
        raise HTTPException(404, "no such red cell on this slide")
    picture = parts.crops.red_jpeg(shelf.reds, cell)
    return Response(picture, media_type="image/jpeg", headers={"Cache-Control": LATER})


def figures_of(shelf: SlideView) -> RedFigures:
    facts = shelf.red_facts(shelf.standing)
    wanted = RedLineResponse.model_fields
    return RedFigures(
        judged=(facts.get("red_cells") or {}).get("judged") or 0,
        lines=[_line(line, wanted) for line in red_lines(facts)],
        sentences=red_sentences(facts),
    )


def _line(line: RedLine, wanted: JsonObject) -> RedLineResponse:
    return RedLineResponse(**{name: v for name, v in asdict(line).items() if name in wanted})


def sizes_of(shelf: SlideView, normal_um: tuple[float, float]) -> SizeHistogram:
    """How large the slide's red cells are, beside its own normal ones."""
    cells = list(shelf.reds.by_id.values())
    normal = [cell for cell in cells if cell.label == "normal"]

    def shares(of: list[RedDetection]) -> list[float]:
        diameters = np.sqrt([4 * cell.area_um2 / np.pi for cell in of])
        counts, _ = np.histogram(diameters.clip(HISTOGRAM_UM[0], HISTOGRAM_UM[-1]), HISTOGRAM_UM)
        return [round(float(share), 5) for share in counts / max(1, len(of))]

    return SizeHistogram(
        edges_um=HISTOGRAM_UM.tolist(),
        cells=shares(cells),
        normal_cells=shares(normal),
        normal_um=normal_um,
    )
