"""A report as an HL7 v2.5.1 message: OUL^R22 or ORU^R01, preliminary, final or corrected, with
LOINC and UCUM.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from hl7apy.core import Group, Message

from ingest import SerialWorkers
from stream.config import LisSettings
from stream.events import REVIEW, SLIDE
from stream.identity import Identity
from stream.review import DifferentialLine, SlideLibrary, WorklistView
from stream.review.images import SlideCheck
from stream.review.report import (
    RedLine,
    ReportError,
    SlideReport,
    dicom_of,
    fhir_of,
    panel_of,
    report_of,
)
from stream.sinks import EventRefusedError
from stream.store import OutboxRecord, facts_of

from .hl7_text import HL7_VERSION, escaped, hl7_time, timestamp

_STATUS = {"preliminary": "P", "final": "F", "amended": "C"}
FLAGS_OF_HL7 = {"low": "L", "high": "H"}
_NOT_COUNTED = ("other", "unidentified")


@dataclass(frozen=True, slots=True)
class ResultLine:
    """One OBX: its type, code and title, value, UCUM unit, reference range and flag."""

    kind: str
    loinc: str
    name: str
    title: str
    value: str
    unit: str = ""
    limits: str = ""
    flag: str = ""


class ResultReports:
    """The report of an event: of a signature, and of the end of a slide's run where the config asks
    for preliminary results.
    """

    def __init__(self, library: SlideLibrary, settings: LisSettings):
        self._library = library
        self._settings = settings
        self._board = WorklistView(library)
        limit_s = library.config.reading.survey_limit_s
        self._check = SlideCheck(SerialWorkers(), limit_s)

    def report(self, record: OutboxRecord) -> SlideReport | None:
        """The report; None for an event without one.

        Raises:
            EventRefusedError: nobody knows whose result it is, or the report cannot be made.
            StoreError: the store cannot be read now.
        """
        report = self._made(record)
        said = report.specimen if report else Identity()
        if report and not (said.accession or said.order or said.container):
            reason = "the slide has no accession, order or container: its result cannot be filed"
            raise EventRefusedError(record.seq, reason)
        return report

    def as_message(self, record: OutboxRecord, control_id: str) -> bytes | None:
        """The same as a message of HL7 v2."""
        report = self.report(record)
        return result_message(report, self._settings, control_id) if report else None

    def as_bundle(self, record: OutboxRecord) -> bytes | None:
        """The same as a transaction of FHIR."""
        report = self.report(record)
        return fhir_of(report).encode() if report else None

    def as_dicom(self, record: OutboxRecord) -> bytes | None:
        """The annotations of a signed slide; None for one that is no DICOM series, too.

        Raises:
            EventRefusedError: they cannot be made: the files of the series are gone, or name
                another patient.
        """
        report = self._made(record)
        slide = self._library.shelf(report.slide_id).slide() if report else None
        if report is None or slide is None or slide.vendor != "dicom":
            return None
        names = self._library.shelf(report.slide_id).names()
        found = self._check.find(slide, names)
        facts = {**report.facts, "slide": facts_of(found.slide or slide)}
        try:
            return dicom_of(replace(report, file=found.standing, facts=facts))
        except ReportError as error:
            raise EventRefusedError(record.seq, error.what) from error

    def _made(self, record: OutboxRecord) -> SlideReport | None:
        data = record.event.data if record.type in (REVIEW, SLIDE) else {}
        is_signed = record.type == REVIEW and data.get("action") == "sign"
        is_done = (
            self._settings.preliminary and record.type == SLIDE and data.get("status") == "done"
        )
        slide_id = str(data.get("slide_id", ""))
        if not (is_signed or is_done) or slide_id not in self._library:
            return None
        shelf = self._library.shelf(slide_id)
        version = int(data["version"]) if is_signed else None
        name = self._board.name(slide_id, shelf.facts())
        try:
            report = report_of(self._library, shelf, name, version)
        except ReportError as error:
            raise EventRefusedError(record.seq, "the report cannot be made") from error
        return None if is_done and report.signature else report  # a person was faster


def result_message(report: SlideReport, settings: LisSettings, control_id: str) -> bytes:
    """The message of a report, UTF-8."""
    structure = settings.message
    message = Message(structure, version=HL7_VERSION)
    _header(message, settings, control_id)
    if structure == "OUL_R22":
        patient = message.add_group("OUL_R22_PATIENT")
        specimen = message.add_group("OUL_R22_SPECIMEN")
        _specimen(specimen, report.specimen)
        order = specimen.add_group("OUL_R22_ORDER")
        part = "OUL_R22_OBXTCDSIDNTE_SUPPGRP"
    else:
        whole = message.add_group("ORU_R01_PATIENT_RESULT")
        patient = whole.add_group("ORU_R01_PATIENT")
        order = whole.add_group("ORU_R01_ORDER_OBSERVATION")
        part = "ORU_R01_OBSERVATION"
    _patient(patient, report.specimen)
    _order(order, report)
    for number, line in enumerate(result_lines(report), 1):
        _result(order.add_group(part), number, line, report)
    if structure == "ORU_R01":
        _specimen(order.add_group("ORU_R01_SPECIMEN"), report.specimen)
    return str(message.to_er7()).encode()


def result_lines(report: SlideReport) -> list[ResultLine]:
    """The lines of the count, then the graded kinds of red cells."""
    white = [
        _count_line(report, line) for line in report.shown_lines if line.name not in _NOT_COUNTED
    ]
    return white + [_red_line(line) for line in report.red_lines if line.loinc]


def _count_line(report: SlideReport, line: DifferentialLine) -> ResultLine:
    limits = "" if line.low is None else f"{line.low:g}-{line.high:g}"
    value = "" if line.per_100 is None else f"{line.per_100:.1f}"
    return ResultLine(
        kind="NM",
        loinc=report.scheme[line.name].loinc,
        name=line.name,
        title=line.title,
        value=value,
        unit="%" if line.white else "/100{WBCs}",
        limits=limits,
        flag=FLAGS_OF_HL7.get(line.flag, ""),
    )


def _red_line(line: RedLine) -> ResultLine:
    flag = "A" if line.grade >= 2 else ""
    return ResultLine("ST", line.loinc, line.name, line.title, line.grade_text or "0", flag=flag)


def _header(message: Message, settings: LisSettings, control_id: str) -> None:
    kind, event = settings.message.split("_")
    head = message.msh
    head.msh_3 = "cytostream"
    head.msh_4 = escaped(settings.facility)
    head.msh_5 = escaped(settings.receiver)
    head.msh_6 = escaped(settings.receiver_facility)
    head.msh_7 = timestamp(datetime.now(UTC))
    head.msh_9 = f"{kind}^{event}^{settings.message}"
    head.msh_10 = control_id
    head.msh_11 = "P"
    head.msh_12 = HL7_VERSION
    head.msh_15 = "NE"
    head.msh_16 = "AL"
    head.msh_18 = "UNICODE UTF-8"


def _patient(group: Group, said: Identity) -> None:
    """PID; who is not known has an empty name, as the segment demands one."""
    family, _, given = said.patient_name.partition(", ")
    group.pid.pid_3 = escaped(said.patient_id)
    group.pid.pid_5 = f"{escaped(family)}^{escaped(given)}" if given else escaped(family)
    if said.birth_date:
        group.pid.pid_7 = said.birth_date.replace("-", "")


def _specimen(group: Group, said: Identity) -> None:
    group.spm.spm_1 = "1"
    group.spm.spm_2 = escaped(said.container or said.accession)
    group.spm.spm_4 = "BLD^Whole blood^HL70487"


def _order(group: Group, report: SlideReport) -> None:
    said = report.specimen
    panel = panel_of(report)
    group.obr.obr_1 = "1"
    group.obr.obr_2 = escaped(said.order)
    group.obr.obr_3 = escaped(said.accession or report.slide_id)
    group.obr.obr_4 = f"{panel['code']}^{escaped(panel['display'])}^LN"
    if report.scanned_at:
        group.obr.obr_7 = hl7_time(report.scanned_at)
    signed = report.signature
    group.obr.obr_22 = timestamp(signed.at if signed else datetime.now(UTC))
    group.obr.obr_25 = _STATUS[report.status]
    if signed:
        group.obr.obr_32 = escaped(signed.by)
    texts = [signed.comment] if signed and signed.comment else []
    for number, text in enumerate([*texts, *report.verified, *report.changes], 1):
        note = group.add_segment("NTE")
        note.nte_1 = str(number)
        note.nte_3 = escaped(text)


def _result(group: Group, number: int, line: ResultLine, report: SlideReport) -> None:
    local = f"{escaped(line.name)}^{escaped(line.title)}^L"
    found = group.obx
    found.obx_1 = str(number)
    found.obx_2 = line.kind
    found.obx_3 = f"{line.loinc}^{escaped(line.title)}^LN^{local}" if line.loinc else local
    found.obx_5 = line.value
    if line.unit:
        found.obx_6 = f"{escaped(line.unit)}^{escaped(line.unit)}^UCUM"
    found.obx_7 = line.limits
    found.obx_8 = line.flag
    found.obx_11 = _STATUS[report.status] if line.value else "X"
    if report.scanned_at:
        found.obx_14 = hl7_time(report.scanned_at)
    if report.signature:
        found.obx_16 = escaped(report.signature.by)
    found.obx_17 = f"{escaped(str(report.facts.get('model_id', '')))}^model of cytostream^L"
