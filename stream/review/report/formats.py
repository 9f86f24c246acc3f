"""The forms that a report can take, by the ending of the file."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from stream.review.images import Crops

from .dicom import dicom_of
from .fhir import fhir_of
from .image_folder import zip_of
from .pdf import pdf_of
from .red_tables import red_csv_of, red_parquet_of
from .report import ReportError, SlideReport
from .tables import anndata_of, csv_of, geojson_of, parquet_of


@dataclass(frozen=True, slots=True)
class Form:
    """An ending, its media type, and how the file is made."""

    ending: str
    media: str
    make: Callable[[SlideReport, Crops], bytes]


def needing_extra(
    make: Callable[[SlideReport], bytes], extra: str = "exports"
) -> Callable[[SlideReport, Crops], bytes]:
    """A form whose packages only an extra brings; without it the hint says so."""

    def made(report: SlideReport, _: Crops) -> bytes:
        try:
            return make(report)
        except ModuleNotFoundError as error:
            raise ReportError(
                f"this form needs {error.name}, which is not installed",
                f"pip install 'cytostream[{extra}]'",
            ) from error

    return made


FORMS = {
    form.ending: form
    for form in (
        Form("csv", "text/csv; charset=utf-8", lambda report, _: csv_of(report)),
        Form("parquet", "application/vnd.apache.parquet", needing_extra(parquet_of)),
        Form("red.csv", "text/csv; charset=utf-8", lambda report, _: red_csv_of(report)),
        Form(
            "red.parquet",
            "application/vnd.apache.parquet",
            needing_extra(red_parquet_of),
        ),
        Form(
            "geojson",
            "application/geo+json",
            lambda report, crops: geojson_of(
                report, crops.shapes(report.slide_id, report.facts.get("mpp"))
            ),
        ),
        Form("h5ad", "application/x-hdf5", needing_extra(anndata_of)),
        Form("dcm", "application/dicom", needing_extra(dicom_of, "dicom")),
        Form("fhir.json", "application/fhir+json", lambda report, _: fhir_of(report).encode()),
        Form(
            "pdf",
            "application/pdf",
            lambda report, crops: pdf_of(report, partial(crops.jpeg, report.slide_id)),
        ),
        Form(
            "zip",
            "application/zip",
            lambda report, crops: zip_of(report, partial(crops.png, report.slide_id)),
        ),
    )
}
