"""The comparison of two models as a page: of the site, or a file that holds its pictures."""

import base64
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from jinja2 import Environment, FileSystemLoader, select_autoescape

from ingest import StoreError
from stream.review.images import Crops
from stream.review.models import DifferingCell, ShadowReport
from stream.review.slides import SlideLibrary
from stream.review.texts import Texts
from stream.review.web.routes_pages import HERE

_AXES = "counted (rows) and second model (columns)"


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """The cells that the counted model calls `name`, by the second model's class in the order of
    the matrix; `same` is the share on which both agree.
    """

    name: str
    cells: tuple[int, ...]
    same: float


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """Cells by the counted label (rows) and the second model's label (columns)."""

    names: tuple[str, ...]
    rows: tuple[MatrixRow, ...]


def matrix_of(confusion: Counter[tuple[str, str]]) -> ConfusionMatrix:
    """The classes that occur, the most frequent first."""
    total: Counter[str] = Counter()
    for (old, new), count in confusion.items():
        total[old] += count
        total[new] += count
    names = tuple(sorted(total, key=lambda name: (-total[name], name)))
    rows = []
    for old in names:
        cells = tuple(confusion[old, new] for new in names)
        rows.append(MatrixRow(old, cells, confusion[old, old] / max(1, sum(cells))))
    return ConfusionMatrix(names, tuple(rows))


def shadow_values(
    report: ShadowReport, names: Callable[[str], str], picture: Callable[[DifferingCell], str]
) -> dict[str, object]:
    """What the template needs: `names` gives a slide's name, `picture` the address of a cell's."""
    changed = [one for one in report.slides if not one.is_none]
    return {
        "shadow": report,
        "matrices": [
            (f"Classes of the differential count: {_AXES}", matrix_of(report.parent_confusion)),
            (f"Classes of the models: {_AXES}", matrix_of(report.confusion)),
        ],
        "changed": changed,
        "slide_names": {one.slide_id: names(one.slide_id) for one in report.slides},
        "pictures": {cell.cell_id: picture(cell) for cell in report.differing},
    }


def shadow_page(library: SlideLibrary, report: ShadowReport) -> str:
    """The comparison as one HTML file with its pictures, in the laboratory's language."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=select_autoescape()
    )
    values = shadow_values(report, lambda slide_id: slide_id, inlined(library))
    style = (HERE / "static" / "app.css").read_text()
    return environment.get_template("shadow_file.html").render(
        **values, style=style, base="", t=Texts(library.config.review.language)
    )


def inlined(library: SlideLibrary) -> Callable[[DifferingCell], str]:
    """What gives the pictures of cells as data URLs; empty where one is gone."""
    crops = Crops(library.store, library.queries, library.trail.marked)

    def picture(one: DifferingCell) -> str:
        cell = library.shelf(one.slide_id).white_cell(one.cell_id)
        try:
            jpeg = crops.jpeg(one.slide_id, cell) if cell else b""
        except StoreError:
            return ""
        return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()

    return picture
