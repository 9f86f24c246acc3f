"""What leaves by the page: the report in each of its forms."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from stream.review.report import FORMS, report_of

from .dependencies import REFUSALS, Having, RouteResponses, Shelf, Viewing, language_of
from .exports import content_key
from .routes_read import file_standing

export_router = APIRouter(prefix="/api", responses=REFUSALS)
ReportFormat = Literal[
    "csv", "parquet", "red.csv", "red.parquet", "geojson", "h5ad", "dcm", "fhir.json", "pdf", "zip"
]
FILE_RESPONSE: RouteResponses = {
    200: {
        "content": {form.media.split(";")[0]: {} for form in FORMS.values()},
        "description": "the file",
    }
}
Version = Annotated[
    int | None, Query(ge=1, le=10_000, description="a signed version; what stands now without it")
]


@export_router.get(
    "/slides/{slide_id}/report.{ending}", response_class=Response, responses=FILE_RESPONSE
)
async def export_report(
    request: Request,
    shelf: Shelf,
    ending: ReportFormat,
    parts: Having,
    person: Viewing,
    version: Version = None,
) -> Response:
    """The report: cells as CSV, Parquet, GeoJSON, AnnData, DICOM; red cells as CSV, Parquet; the
    count as FHIR and PDF; reviewed cells as images in a ZIP.
    """
    name = parts.board.name(shelf.slide_id, shelf.facts())
    file = await run_in_threadpool(file_standing, shelf, parts)
    language = await run_in_threadpool(language_of, request, parts)
    asked = name, version, file, language
    key = content_key(shelf, ending, *asked)
    report = await run_in_threadpool(report_of, parts.library, shelf, *asked)
    form = FORMS[ending]
    content = await parts.exports.file(person.name, key, lambda: form.make(report, parts.crops))
    headers = {
        "Content-Disposition": f'attachment; filename="{shelf.slide_id}-v{report.version}.{ending}"'
    }
    return Response(content, media_type=form.media, headers=headers)
