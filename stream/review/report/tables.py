"""The cells of a report as tables: CSV and Parquet, AnnData for single-cell tools, GeoJSON
for QuPath; one row a cell.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from itertools import chain
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING
from uuid import NAMESPACE_OID, uuid5

from stream.events import JsonObject
from stream.identity import EVENT_FIELDS
from stream.review.detections import Detection
from stream.review.images import Red, Ring, Shapes

from .report import ReportError, SlideReport

if TYPE_CHECKING:
    import pyarrow as pa

RED_COLOUR = [200, 80, 80]
FORMULA_STARTS = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)  # the last four: full width
Value = str | int | float | None
CODE_COLUMN = "specimen_"

_COLUMNS = (
    "slide_id",
    "cell_id",
    "kind",
    "label",
    "machine_label",
    "probability",
    "anomaly",
    "reviewed",
    "reviewer",
    "reviewed_at",
    "x_px0",
    "y_px0",
    "box_x0_px0",
    "box_y0_px0",
    "box_x1_px0",
    "box_y1_px0",
    "area_um2",
    "mpp",
    "model_id",
    "report_version",
    "marked_by",
)


def table_columns(report: SlideReport) -> dict[str, list[Value]]:
    """Columns of equal length, in the order of `COLUMNS`, then a probability a class of the
    model; places are level-0 px.
    """
    decided = [report.standing.decisions.get(cell.cell_id) for cell in report.cells]
    cells = report.cells
    n = len(report.cells)
    values: tuple[list[Value], ...] = (
        [report.slide_id] * n,
        [c.cell_id for c in cells],
        [c.kind for c in cells],
        [report.label(c) for c in cells],
        [c.label for c in cells],
        [c.sureness for c in cells],
        [c.anomaly for c in cells],
        [d.how if d else None for d in decided],
        [d.by if d else None for d in decided],
        [d.at.isoformat() if d else None for d in decided],
        [c.x_px0 for c in cells],
        [c.y_px0 for c in cells],
        [c.box_px0[0] for c in cells],
        [c.box_px0[1] for c in cells],
        [c.box_px0[2] for c in cells],
        [c.box_px0[3] for c in cells],
        [c.area_um2 for c in cells],
        [report.facts.get("mpp")] * n,
        [report.facts.get("model_id")] * n,
        [report.version] * n,
        [c.marked_by or None for c in cells],
    )
    shares = {
        f"p_{name}": column.tolist()
        for name, column in zip(report.classes, report.scores().T, strict=True)
    }
    return {**dict(zip(_COLUMNS, values, strict=True)), **code_columns(report, n), **shares}


def code_columns(report: SlideReport, count: int) -> dict[str, list[Value]]:
    """The codes of the specimen, where the config lets them into tables."""
    codes = report.codes or {}
    names = sorted(codes.keys() & set(EVENT_FIELDS))
    return {f"{CODE_COLUMN}{name}": [codes[name]] * count for name in names}


def csv_of(report: SlideReport) -> bytes:
    """RFC 4180 with a header line; a text that a spreadsheet would take for a formula is
    quoted with an apostrophe.
    """
    columns = table_columns(report)
    return csv_table(columns, zip(*columns.values(), strict=True))


def csv_table(header: Iterable[str], rows: Iterable[Sequence[Value]]) -> bytes:
    """Rows as CSV; no text in it begins as a formula of a spreadsheet does."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows(tuple(map(_harmless, row)) for row in chain([tuple(header)], rows))
    return out.getvalue().encode()


def _harmless(value: Value) -> Value:
    return (
        f"'{value}"
        if isinstance(value, str) and value.lstrip(" \n").startswith(FORMULA_STARTS)
        else value
    )


def parquet_of(report: SlideReport) -> bytes:
    """Parquet, with the report's facts as metadata of the schema; `features` are the encoder's
    numbers of each cell.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = table_columns(report)
    table = pa.table(columns, schema=parquet_schema(columns))
    features = report.features()
    if features is not None:
        rows = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), features.shape[1])
        table = table.append_column("features", rows)
    about = {"cytostream": json.dumps(about_of(report))}
    out = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(about), out, compression="zstd")
    return out.getvalue()


def parquet_schema(columns: Iterable[str]) -> "pa.Schema":
    """Types that do not depend on the values: an empty column has its type too."""
    import pyarrow as pa

    whole = {
        "x_px0",
        "y_px0",
        "box_x0_px0",
        "box_y0_px0",
        "box_x1_px0",
        "box_y1_px0",
        "report_version",
    }
    shares = {name for name in columns if name.startswith("p_")}
    real = {"probability", "anomaly", "area_um2", "mpp", *shares}
    types = {**dict.fromkeys(whole, pa.int32()), **dict.fromkeys(real, pa.float64())}
    return pa.schema([(name, types.get(name, pa.string())) for name in columns])


def anndata_of(report: SlideReport) -> bytes:
    """AnnData (.h5ad): X (cells, classes) holds the model's probabilities, obs the columns,
    obsm["spatial"] centres in um, obsm["features"] the encoder's features.
    """
    import anndata
    import numpy as np
    import pandas as pd

    columns = {name: values for name, values in table_columns(report).items() if name in _COLUMNS}
    obs = pd.DataFrame(columns, index=pd.Index(columns["cell_id"], dtype=str)).drop(
        columns="cell_id"
    )
    for name in ("reviewed", "reviewer", "reviewed_at", "marked_by"):
        obs[name] = obs[name].fillna("").astype(str)
    data = anndata.AnnData(
        report.scores(), obs=obs, var=pd.DataFrame(index=pd.Index(report.classes, dtype=str))
    )
    data.obsm["spatial"] = obs[["x_px0", "y_px0"]].to_numpy(np.float64) * (
        report.facts.get("mpp") or 1.0
    )
    features = report.features()
    if features is not None:
        data.obsm["features"] = features.astype(np.float32)  # HDF5 tools lack half precision
    data.uns["cytostream"] = json.dumps(about_of(report))
    with NamedTemporaryFile(suffix=".h5ad") as file:
        data.write_h5ad(file.name)
        return file.read()


def geojson_of(report: SlideReport, shapes: Shapes) -> bytes:
    """A FeatureCollection that QuPath opens: a cell with its nucleus, or the box of one that has no
    outline, with class, colour and measurements; and the red cells of the sampled fields.

    Places are level-0 px from the corner of the scanned area, as QuPath counts them; `origin_px0`
    of the collection is that corner in the frame of all other forms.

    Raises:
        ReportError: the slide's file has changed since, so that outlines would lie on other cells.
    """
    if report.file == "changed":
        what = "the file has changed since the slide was read, and the outlines do not fit it"
        raise ReportError(what, "put back the file that was read, or run the new one")
    origin = slide_origin(report)
    colours = {
        c.name: [int(c.colour[i : i + 2], 16) for i in (1, 3, 5)] for c in report.scheme.classes
    }
    features = [
        {
            "type": "Feature",
            "id": _uuid(cell.cell_id),
            **_geometry(cell, rings, origin),
            "properties": {
                "objectType": "cell" if rings else "detection",
                "name": cell.cell_id,
                "classification": {
                    "name": report.label(cell),
                    "color": colours[report.label(cell)],
                },
                "measurements": {
                    "Probability": cell.sureness,
                    "Anomaly": cell.anomaly,
                    "Area um^2": cell.area_um2,
                },
            },
        }
        for cell in report.cells
        for rings in [shapes.of(cell)]
    ]
    features += [_red_feature(report.slide_id, red, origin) for red in shapes.reds()]
    collection = {"type": "FeatureCollection", "origin_px0": origin, "features": features}
    return json.dumps(collection).encode()


def slide_origin(report: SlideReport) -> tuple[int, int]:
    """The corner (x, y) of the scanned area in level-0 px."""
    x, y = report.facts.get("slide", {}).get("origin_px0", (0, 0))
    return x, y


def _geometry(
    cell: Detection, rings: tuple[Ring, Ring] | None, origin: tuple[int, int]
) -> JsonObject:
    if rings is None:
        return {"geometry": _polygon(_ring(*cell.box_px0), origin)}
    return {
        "geometry": _polygon(rings[0], origin),
        "nucleusGeometry": _polygon(rings[1], origin),
    }


def _polygon(ring: Ring, origin: tuple[int, int]) -> JsonObject:
    """A closed ring in level-0 px, as seen from the corner of the scanned area."""
    moved = [[round(x - origin[0], 2), round(y - origin[1], 2)] for x, y in ring]
    return {"type": "Polygon", "coordinates": [moved]}


def _red_feature(slide_id: str, red: Red, origin: tuple[int, int]) -> JsonObject:
    measured = {"Area um^2": red.area_um2, "Roundness": red.roundness, "Pallor": red.pallor}
    about = {
        "objectType": "detection",
        "name": red.name,
        "classification": {
            "name": f"red cell: {red.kind}" if red.kind else "red cell",
            "color": RED_COLOUR,
        },
    }
    return {
        "type": "Feature",
        "id": _uuid(f"{slide_id} {red.name}"),
        "geometry": _polygon(red.ring, origin),
        "properties": {**about, "measurements": measured},
    }


def _ring(x0: int, y0: int, x1: int, y1: int) -> Ring:
    """Closed, exterior counter-clockwise in the sense of RFC 7946."""
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


def _uuid(cell_id: str) -> str:
    return str(uuid5(NAMESPACE_OID, cell_id))


def about_of(report: SlideReport) -> JsonObject:
    """Where a table comes from."""
    signed = report.signature
    return {
        "slide_id": report.slide_id,
        "status": report.status,
        "version": report.version,
        "file": report.file,
        "signed_by": signed and signed.by,
        "signed_at": signed and signed.at.isoformat(),
        "counts": {line.name: line.count for line in report.lines},
        "totals": {line.name: line.count for line in report.totals},
        **{k: report.facts.get(k) for k in ("model_id", "config_id", "mpp")},
        **({"specimen": report.codes} if report.codes else {}),
    }
