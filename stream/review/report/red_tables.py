"""The judged red cells of a report as tables, CSV and Parquet; one row a cell."""

import io
import json
from math import pi, sqrt

from .report import SlideReport
from .tables import Value, about_of, code_columns, csv_table

RedColumns = dict[str, list[Value]]
_WHOLE = {"x_px0", "y_px0", "box_x0_px0", "box_y0_px0", "box_x1_px0", "box_y1_px0"}
_REAL = {"probability", "anomaly", "area_um2", "diameter_um", "roundness", "pallor", "mpp"}


def red_columns(report: SlideReport) -> RedColumns:
    """Columns of equal length: ids, what machine and people call each cell, places in level-0 px,
    measurements; empty columns where no red cell was judged.
    """
    cells = list(report.reds.by_id.values()) if report.reds else []
    decided = [report.standing.decisions.get(cell.cell_id) for cell in cells]
    count = len(cells)
    red_model: str | None = (report.facts.get("red_cells") or {}).get("model_hash")
    return {
        "slide_id": [report.slide_id] * count,
        "cell_id": [cell.cell_id for cell in cells],
        "kind": ["rbc"] * count,
        "label": [report.label(cell) for cell in cells],
        "machine_label": [cell.label for cell in cells],
        "probability": [cell.sureness for cell in cells],
        "anomaly": [cell.anomaly for cell in cells],
        "reviewed": [one.how if one else None for one in decided],
        "reviewer": [one.by if one else None for one in decided],
        "reviewed_at": [one.at.isoformat() if one else None for one in decided],
        "x_px0": [cell.x_px0 for cell in cells],
        "y_px0": [cell.y_px0 for cell in cells],
        "box_x0_px0": [cell.box_px0[0] for cell in cells],
        "box_y0_px0": [cell.box_px0[1] for cell in cells],
        "box_x1_px0": [cell.box_px0[2] for cell in cells],
        "box_y1_px0": [cell.box_px0[3] for cell in cells],
        "area_um2": [cell.area_um2 for cell in cells],
        "diameter_um": [round(sqrt(4 * cell.area_um2 / pi), 3) for cell in cells],
        "roundness": [cell.roundness for cell in cells],
        "pallor": [cell.pallor for cell in cells],
        "mpp": [report.facts.get("mpp")] * count,
        "model_id": [red_model] * count,
        "report_version": [report.version] * count,
        **code_columns(report, count),
    }


def red_csv_of(report: SlideReport) -> bytes:
    """RFC 4180 with a header line."""
    columns = red_columns(report)
    return csv_table(columns, zip(*columns.values(), strict=True))


def red_parquet_of(report: SlideReport) -> bytes:
    """Parquet, with the report's facts as metadata of the schema; an empty column has its type
    too.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = red_columns(report)
    types = {
        **dict.fromkeys(_WHOLE | {"report_version"}, pa.int32()),
        **dict.fromkeys(_REAL, pa.float64()),
    }
    schema = pa.schema([(name, types.get(name, pa.string())) for name in columns])
    about = {"cytostream": json.dumps(about_of(report))}
    out = io.BytesIO()
    table = pa.table(columns, schema=schema).replace_schema_metadata(about)
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()
