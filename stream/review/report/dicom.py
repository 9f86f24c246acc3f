"""The cells of a report as DICOM: Microscopy Bulk Simple Annotations (PS3.3 A.87) on the slide's
own series, a rectangle a cell, a group a class and a kind of reader (needs highdicom).
"""

import io
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING
from uuid import NAMESPACE_OID, uuid5

import numpy as np

from classify import SHIPPED, read_card
from ingest import Slide, files_of
from stream.review.detections import Detection
from stream.store import slide_of

from .report import ReportError, SlideReport

if TYPE_CHECKING:
    from highdicom.ann import AnnotationGroup, Measurements
    from highdicom.sr import CodedConcept
    from pydicom.dataset import Dataset

WHOLE_SLIDE_IMAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"
LOCAL_CODES = "99CYTOSTREAM"  # of what SNOMED CT has no code here: the names of classes
ABSENT_MEANS_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
)
SERIES_NUMBER = 8150
_NO_SLIDE_TO_REFER_TO = "only a slide that is a DICOM series has what annotations refer to"


@dataclass(frozen=True, slots=True)
class CellGroup:
    """Cells of one class, as the model (`is_decided` False) or a person called them."""

    label: str
    is_decided: bool
    cells: tuple[Detection, ...]


def dicom_of(report: SlideReport) -> bytes:
    """The annotations as a DICOM file: coordinates are pixels of the total pixel matrix of the
    series' largest image, from its upper left corner; nothing of patient or study is made up, all
    of it is the series' own.

    The same cells under the same labels have the same SOP instance UID, so that a server keeps them
    once.

    Raises:
        ReportError: the slide is no DICOM series, its files are gone or changed, they name another
            patient than the report, or there is no cell.
        ModuleNotFoundError: highdicom is not installed.
    """
    from highdicom.ann import MicroscopyBulkSimpleAnnotations

    slide = _source_slide(report)
    image = _source_image(slide)
    _check_patient(report, image)
    groups = list(cell_groups(report))
    if not groups:
        raise ReportError("the slide has no cell", "there is nothing to annotate")
    content = [report.slide_id, str(report.version), report.status, image.SOPInstanceUID]
    content += [str(report.facts.get("model_id"))]
    content += [f"{g.label} {g.is_decided} {[c.cell_id for c in g.cells]}" for g in groups]
    with warnings.catch_warnings():  # of names of one part, which are the series' own
        warnings.simplefilter("ignore", UserWarning)
        made = MicroscopyBulkSimpleAnnotations(
            source_images=[image],
            annotation_coordinate_type="2D",
            annotation_groups=[
                _annotations(number, group, report, uid_of(*content, str(number)))
                for number, group in enumerate(groups, 1)
            ],
            series_instance_uid=uid_of(image.SeriesInstanceUID, "annotations"),
            series_number=SERIES_NUMBER,
            sop_instance_uid=uid_of(*content),
            instance_number=report.version,
            manufacturer="cytostream",
            manufacturer_model_name="cytostream",
            software_versions=version("cytostream"),
            device_serial_number=str(report.facts.get("model_id", "unknown")),
            content_label="BLOOD_CELLS",
            content_description=f"{report.status}, version {report.version}",
            content_creator_name=_creator(report),
            specific_character_set="ISO_IR 192",
        )
    _set_times(made, report)
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def uid_of(*content: str) -> str:
    """A UID that is a function of a content (PS3.5 B.2: a UUID below 2.25)."""
    return f"2.25.{uuid5(NAMESPACE_OID, json.dumps(content)).int}"


def cell_groups(report: SlideReport) -> Iterator[CellGroup]:
    """The cells by class: those that people have decided on or marked apart from the others."""
    decided = report.standing.decisions
    found: dict[tuple[str, bool], list[Detection]] = {}
    for cell in report.cells:
        by_person = cell.cell_id in decided or bool(cell.marked_by)
        found.setdefault((report.label(cell), by_person), []).append(cell)
    for (label, by_person), cells in sorted(found.items()):
        yield CellGroup(label, by_person, tuple(cells))


def _source_slide(report: SlideReport) -> Slide:
    """Raises ReportError where there is none that annotations can refer to."""
    facts = report.facts.get("slide")
    if report.file != "there" or not facts:
        state = "has changed since it was read" if report.file == "changed" else "is not there"
        raise ReportError(f"the slide's file {state}", "bring it back to where it was read")
    slide = slide_of(facts)
    if slide.vendor != "dicom":
        raise ReportError(
            f"the slide is no DICOM series ({slide.vendor}): {_NO_SLIDE_TO_REFER_TO}",
            "export geojson or csv, or convert the slide to DICOM before it is read",
        )
    return slide


def _source_image(slide: Slide) -> "Dataset":
    """The header of the image of the series that coordinates are pixels of.

    Raises:
        ReportError: no image of the series, or more than one, has the slide's size.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    found = []
    for path in files_of(slide.path):
        try:
            header = dcmread(path, stop_before_pixels=True)
        except (OSError, InvalidDicomError):
            continue
        if _is_level_0(header, slide):
            found.append((path, header))
    own = [header for path, header in found if path == slide.path]
    chosen = own or [header for _, header in found]
    if len(chosen) != 1:
        raise ReportError(
            f"{len(chosen)} images of the series have the slide's size: {_NO_SLIDE_TO_REFER_TO}",
            "one focal plane in one file is supported",
        )
    image = chosen[0]
    for name in ABSENT_MEANS_EMPTY:
        if name not in image:
            setattr(image, name, "")
    return image


def _is_level_0(header: "Dataset", slide: Slide) -> bool:
    size = header.get("TotalPixelMatrixColumns"), header.get("TotalPixelMatrixRows")
    flavour = list(header.get("ImageType", []))
    is_image = header.get("SOPClassUID") == WHOLE_SLIDE_IMAGE and "VOLUME" in flavour
    return is_image and size == (slide.width_px0, slide.height_px0)


def _check_patient(report: SlideReport, image: "Dataset") -> None:
    """Raises ReportError where series and report name two patients."""
    known = report.specimen.patient_id
    if known and image.PatientID and known != image.PatientID:
        raise ReportError(
            "the slide's series names another patient than the report",
            "settle on the page whose slide it is, or correct the series",
        )


def _creator(report: SlideReport) -> str | None:
    """Who has signed, as a name of one part."""
    return re.sub(r"[\\^=]", " ", report.signature.by)[:63] + "^" if report.signature else None


def _annotations(number: int, group: CellGroup, report: SlideReport, uid: str) -> "AnnotationGroup":
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.ann import AnnotationGroup
    from pydicom.sr.codedict import codes

    title = report.scheme[group.label].title if group.label in report.scheme else group.label
    model_id = str(report.facts.get("model_id", "unknown"))
    algorithm = AlgorithmIdentificationSequence(
        "cytostream", codes.DCM.ArtificialIntelligence, model_id, source="cytostream"
    )
    who = "decided by a person" if group.is_decided else "called so by the model"
    return AnnotationGroup(
        number=number,
        uid=uid,
        label=f"{title}, {who}"[:64],
        annotated_property_category=codes.SCT.AnatomicalStructure,
        annotated_property_type=class_code(group.label, title),
        graphic_type="RECTANGLE",
        graphic_data=[corners(cell) for cell in group.cells],
        algorithm_type="MANUAL" if group.is_decided else "AUTOMATIC",
        algorithm_identification=None if group.is_decided else algorithm,
        measurements=list(_measurements(group)),
        description=f"{group.label}: {who}",
    )


def corners(cell: Detection) -> np.ndarray:
    """The corners (4, 2) of a cell's box, clockwise from the upper left, in level-0 px."""
    x0, y0, x1, y1 = cell.box_px0
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float32)


def class_code(label: str, title: str) -> "CodedConcept":
    """The SNOMED CT code of a class where the taxonomy has one, else its name as a local code."""
    from highdicom.sr import CodedConcept

    entry = read_card(SHIPPED).taxonomy.get(label)
    if entry and entry.snomed:
        return CodedConcept(entry.snomed, "SCT", entry.title or title)
    return _local(label, title)


def _local(value: str, meaning: str) -> "CodedConcept":
    from highdicom.sr import CodedConcept

    return CodedConcept(value[:16], LOCAL_CODES, (meaning or value)[:64])


def _measurements(group: CellGroup) -> "Iterator[Measurements]":
    """Anomaly score, area, and where the model has called them so, the probability of the class."""
    from highdicom.ann import Measurements
    from pydicom.sr.codedict import codes

    one = codes.UCUM.NoUnits
    anomaly = np.array([cell.anomaly for cell in group.cells], float)
    area = np.array([cell.area_um2 for cell in group.cells], float)
    yield Measurements(_local("anomaly", "Anomaly score"), anomaly, one)
    yield Measurements(codes.SCT.Area, area, codes.UCUM.SquareMicrometer)
    if not group.is_decided:
        sureness = np.array([cell.sureness for cell in group.cells], float)
        yield Measurements(_local("probability", "Probability of the class"), sureness, one)


def _set_times(made: "Dataset", report: SlideReport) -> None:
    """The time of the signature, or of the run: the same content is the same file."""
    signed = report.signature
    at = signed.at if signed else report.scanned
    if at is None:
        return
    for name in ("InstanceCreation", "Content", "Series"):
        setattr(made, f"{name}Date", at.strftime("%Y%m%d"))
        setattr(made, f"{name}Time", at.strftime("%H%M%S"))
    for equipment in made.get("ContributingEquipmentSequence", ()):
        equipment.ContributionDateTime = at.strftime("%Y%m%d%H%M%S")
