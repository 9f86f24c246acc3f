"""Annotations as DICOM: read back by pydicom as plain data, and by highdicom, and compared with the
journal cell by cell.
"""

import io
import json
from dataclasses import replace

import numpy as np
import pydicom
import pytest
import tifffile

from classify import SHIPPED, read_card
from stream.config import Config
from stream.identity import Identity
from stream.review.decisions import DecisionService
from stream.review.images import Crops
from stream.review.report import FORMS, ReportError, report_of
from stream.review.slides import SlideLibrary
from tests.dicom_slide import write_dicom_slide
from tests.make import MPP, smear
from tests.stores import STAMP, filled

CELLS = 24


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store with a DICOM slide, one cell decided by a person."""
    folder = tmp_path_factory.mktemp("dicom")
    smear(folder / "smear.tiff", side_px=700, whites=4)
    write_dicom_slide(folder / "smear.dcm", tifffile.imread(folder / "smear.tiff", key=0), MPP)
    store = filled(folder / "store", cells=CELLS, name="smear.dcm")
    with SlideLibrary(folder / "store", Config()) as library:
        cell = library.shelf(store.slide.slide_id).found.cells[0]
        to = "monocyte" if cell.label != "monocyte" else "lymphocyte"
        desk = DecisionService(library, STAMP)
        desk.decide(store.slide.slide_id, "anna", "reclassify", [cell.cell_id], to, 0)
        yield store, library
    store.close()


@pytest.fixture(scope="module")
def report(made):
    store, library = made
    return report_of(library, library.shelf(store.slide.slide_id), "smear")


@pytest.fixture(scope="module")
def written(made, report):
    _, library = made
    return FORMS["dcm"].make(report, Crops(library.store, library.queries, library.trail.marked))


def journal(store):
    """Box, label and numbers of each cell, as the journal has them."""
    rows = store.outbox.cells(store.slide.slide_id)
    for row in rows:
        body = json.loads(row.body)
        yield row.cell_id, body["cell"], body["verdict"]


def plain_cells(dataset):
    """Each annotated cell by what a reader of plain attributes finds: type, code, and box."""
    for group in dataset.AnnotationGroupSequence:
        points = np.frombuffer(group.PointCoordinatesData, np.float32).reshape(-1, 4, 2)
        assert group.NumberOfAnnotations == len(points) and group.GraphicType == "RECTANGLE"
        code = group.AnnotationPropertyTypeCodeSequence[0]
        measured = {
            one.ConceptNameCodeSequence[0].CodeValue: np.frombuffer(
                one.MeasurementValuesSequence[0].FloatingPointValues, np.float32
            )
            for one in group.MeasurementsSequence
        }
        for number, corner in enumerate(points):
            box = (*corner.min(axis=0).tolist(), *corner.max(axis=0).tolist())
            numbers = {name: values[number] for name, values in measured.items()}
            yield box, (code.CodingSchemeDesignator, code.CodeValue), group, numbers


def test_each_cell_is_there_once_where_and_as_the_journal_has_it(made, report, written):
    store, _ = made
    dataset = pydicom.dcmread(io.BytesIO(written))
    found = {box: (code, group, numbers) for box, code, group, numbers in plain_cells(dataset)}
    assert len(found) == CELLS == sum(1 for _ in plain_cells(dataset))
    decided = report.standing.decisions
    taxonomy = read_card(SHIPPED).taxonomy
    for cell_id, cell, verdict in journal(store):
        code, group, numbers = found[tuple(map(float, cell["box_px0"]))]
        label = decided[cell_id].label if cell_id in decided else verdict["label"]
        snomed = taxonomy[label].snomed
        assert code == (("SCT", snomed) if snomed else ("99CYTOSTREAM", label[:16]))
        is_decided = cell_id in decided
        assert group.AnnotationGroupGenerationType == ("MANUAL" if is_decided else "AUTOMATIC")
        assert numbers["anomaly"] == pytest.approx(verdict["anomaly"]["score"])
        assert numbers["42798000"] == pytest.approx(cell["area_um2"])
        if is_decided:
            assert "probability" not in numbers
            assert "AnnotationGroupAlgorithmIdentificationSequence" not in group
        else:
            assert numbers["probability"] == pytest.approx(verdict["scores"][label])
            algorithm = group.AnnotationGroupAlgorithmIdentificationSequence[0]
            assert algorithm.AlgorithmName == "cytostream"
            assert algorithm.AlgorithmVersion == "model-1"


def test_it_refers_to_the_series_and_takes_patient_and_study_from_it(made, written):
    store, _ = made
    source = pydicom.dcmread(store.slide.path, stop_before_pixels=True)
    dataset = pydicom.dcmread(io.BytesIO(written))
    (image,) = dataset.ReferencedImageSequence
    assert image.ReferencedSOPInstanceUID == source.SOPInstanceUID
    (series,) = dataset.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.SeriesInstanceUID != dataset.SeriesInstanceUID
    for name in ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber"):
        assert dataset[name].value == source[name].value, name
    assert dataset.PatientSex == "" and dataset.PixelOriginInterpretation == "VOLUME"
    assert dataset.ContainerIdentifier == "S-1" and dataset.Modality == "ANN"


def test_highdicom_reads_it_back(made, report, written):
    import highdicom

    annotations = highdicom.ann.annread(io.BytesIO(written))
    boxes = {
        tuple(map(int, (*corner.min(axis=0), *corner.max(axis=0))))
        for group in annotations.get_annotation_groups()
        for corner in group.get_graphic_data(coordinate_type="2D")
    }
    assert boxes == {cell.box_px0 for cell in report.cells}


def test_the_same_content_is_the_same_instance(made, report, written):
    first = pydicom.dcmread(io.BytesIO(written))
    assert FORMS["dcm"].make(report, None) == written
    of_another_model = report.facts | {"model_id": "another"}
    for changes in ({"cells": report.cells[:-1]}, {"facts": of_another_model}):
        other = FORMS["dcm"].make(replace(report, **changes), None)
        assert pydicom.dcmread(io.BytesIO(other)).SOPInstanceUID != first.SOPInstanceUID


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"file": "changed"}, "has changed"),
        ({"file": "gone"}, "is not there"),
        ({"specimen": Identity(patient_id="P-2")}, "another patient"),
        ({"cells": []}, "no cell"),
    ],
)
def test_what_would_be_wrong_is_refused(report, changes, words):
    with pytest.raises(ReportError, match=words):
        FORMS["dcm"].make(replace(report, **changes), None)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"vendor": "aperio"}, "no DICOM series .aperio."),
        ({"width_px0": 701}, "0 images of the series"),
        ({"path": "/nowhere/smear.dcm"}, "0 images of the series"),
    ],
)
def test_nothing_is_made_up_for_a_slide_that_is_no_such_series(report, about, words):
    facts = {**report.facts, "slide": {**report.facts["slide"], **about}}
    with pytest.raises(ReportError, match=words):
        FORMS["dcm"].make(replace(report, facts=facts), None)


def test_without_its_package_the_hint_names_the_extra(report, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "highdicom.ann", None)
    with pytest.raises(ReportError, match="not installed") as refused:
        FORMS["dcm"].make(report, None)
    assert "cytostream[dicom]" in refused.value.hint
