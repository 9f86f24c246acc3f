"""Reviewed cells as an image folder for training: CLASS/SLIDE-CELL.png, as the classifier was
given them, and a table.
"""

import io
import re
import zipfile
from collections.abc import Callable, Iterator

from classify import CLASS_NAME
from stream.review.detections import Detection

from .report import ReportError, SlideReport
from .tables import csv_table

_COLUMNS = (
    "path",
    "slide_id",
    "cell_id",
    "label",
    "machine_label",
    "how",
    "reviewer",
    "reviewed_at",
    "mpp",
    "x_px0",
    "y_px0",
)
_LABEL = re.compile(CLASS_NAME)
LEFT_OUT = "unidentified"


def reviewed(report: SlideReport) -> list[Detection]:
    """Cells that a person has renamed or confirmed; the unidentified teach nothing."""
    decisions = report.standing.decisions
    return [
        c for c in report.cells if c.cell_id in decisions and decisions[c.cell_id].label != LEFT_OUT
    ]


def image_folder_of(
    report: SlideReport, picture: Callable[[Detection], bytes]
) -> Iterator[tuple[str, bytes]]:
    """(path, content) of each file; `picture` gives a cell as PNG.

    Raises:
        ReportError: a label that is no class name, and so no folder.
    """
    table = []
    for cell in reviewed(report):
        made = report.standing.decisions[cell.cell_id]
        if not _LABEL.fullmatch(made.label):
            raise ReportError(
                f"{made.label!r} is no class name", "check the store with `cytostream audit`"
            )
        path = f"{made.label}/{report.slide_id}-{cell.cell_id}.png"
        who = made.how, made.by, made.at.isoformat()
        place = report.facts.get("mpp"), cell.x_px0, cell.y_px0
        table.append((path, report.slide_id, cell.cell_id, made.label, cell.label, *who, *place))
        yield path, picture(cell)
    yield f"{report.slide_id}.csv", csv_table(_COLUMNS, table)


def zip_of(report: SlideReport, picture: Callable[[Detection], bytes]) -> bytes:
    """The folder as one ZIP file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        for path, content in image_folder_of(report, picture):
            file.writestr(path, content)
    return out.getvalue()
