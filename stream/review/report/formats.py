"""The forms that a report can take, by the ending of the file."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from stream.review.images import Crops

from .fhir import fhir_of
from .image_folder import zip_of
from .pdf import pdf_of
from .red_tables import red_csv_of, red_parquet_of
from .report import SlideReport
from .tables import anndata_of, csv_of, geojson_of, parquet_of


@dataclass(frozen=True, slots=True)
class Form:
    """An ending, its media type, and how the file is made."""

    ending: str
    media: str
    make: Callable[[SlideReport, Crops], bytes]


FORMS = {
    form.ending: form
    for form in (
        Form("csv", "text/csv; charset=utf-8", lambda report, _: csv_of(report)),
        Form("parquet", "application/vnd.apache.parquet", lambda report, _: parquet_of(report)),
        Form("red.csv", "text/csv; charset=utf-8", lambda report, _: red_csv_of(report)),
        Form(
            "red.parquet",
            "application/vnd.apache.parquet",
            lambda report, _: red_parquet_of(report),
        ),
        Form(
            "geojson",
            "application/geo+json",
            lambda report, crops: geojson_of(
                report, crops.shapes(report.slide_id, report.facts.get("mpp"))
            ),
        ),
        Form("h5ad", "application/x-hdf5", lambda report, _: anndata_of(report)),
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
