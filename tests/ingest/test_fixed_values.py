"""The numbers and switches of the reading of slides outside of functions, all at once."""

from ingest import (
    deep_zoom,
    dicom_header,
    failure,
    folder_look,
    folder_watch,
    part_lists,
    scale,
    seams,
    slide,
    slide_files,
    smear_map,
    specimen_codes,
    survey,
    tiles,
)
from ingest.pages import focal_planes, page_content, tiff_pages
from ingest.readers import black_fill, reader, tiff
from ingest.synthetic import smear, smear_file, sprites
from ingest.workers import cluster, dask_workers, limits, scheduler, workers
from tests.approved import approved
from tests.fixed_values import fixed_values


def test_the_values_are_those_that_were_chosen():
    modules = (
        deep_zoom,
        dicom_header,
        failure,
        folder_look,
        folder_watch,
        part_lists,
        scale,
        seams,
        slide,
        slide_files,
        smear_map,
        specimen_codes,
        survey,
        tiles,
        focal_planes,
        page_content,
        tiff_pages,
        black_fill,
        reader,
        tiff,
        smear,
        smear_file,
        sprites,
        cluster,
        dask_workers,
        limits,
        scheduler,
        workers,
    )
    approved(__file__, "fixed-values", fixed_values(*modules))
