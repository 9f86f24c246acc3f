"""The count as FHIR R4: a Bundle of one DiagnosticReport and an Observation a class, with LOINC
codes.

The shapes are checked with the models of `fhir.resources` (R4B, in which these two resources are
those of R4).
"""

from html import escape
from uuid import NAMESPACE_URL, uuid5

from stream.events import JsonObject
from stream.review.differential import DifferentialLine

from .red_cells import GRADE_WORDS, RedLine
from .report import SlideReport

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
_LOCAL = "urn:cytostream:class"
_SIGNED_PANEL = {
    "system": LOINC,
    "code": "24318-8",
    "display": "Manual Differential panel - Blood",
}
_MACHINE_PANEL = {
    "system": LOINC,
    "code": "69738-3",
    "display": "Differential panel, method unspecified - Blood",
}
CATEGORY = {
    "system": "http://terminology.hl7.org/CodeSystem/v2-0074",
    "code": "HM",
    "display": "Hematology",
}
LAB = {
    "system": "http://terminology.hl7.org/CodeSystem/observation-category",
    "code": "laboratory",
    "display": "Laboratory",
}
FLAGS = {"low": ("L", "Low"), "high": ("H", "High")}
FLAG_SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"


def panel_of(report: SlideReport) -> dict[str, str]:
    """The code of the whole count: a manual one only where a person has signed it."""
    return _SIGNED_PANEL if report.signature else _MACHINE_PANEL


def fhir_of(report: SlideReport) -> str:
    """The bundle as JSON text; the same report gives the same ids.

    Raises:
        ValueError: it is not valid FHIR, which would be a fault of this module.
    """
    from fhir.resources.R4B.bundle import Bundle

    observations = [
        _observation(report, line)
        for line in report.shown_lines
        if line.name not in ("other", "unidentified", "platelet")
    ]
    observations += [_red_observation(report, line) for line in report.red_lines if line.loinc]
    resources = [_diagnostic(report, observations), *observations]
    entries = [{"fullUrl": _urn(r["id"]), "resource": r} for r in resources]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    if report.signature:
        bundle["timestamp"] = report.signature.at.isoformat()
    return Bundle.model_validate(bundle).model_dump_json(indent=1)


def _diagnostic(report: SlideReport, observations: list[JsonObject]) -> JsonObject:
    says: JsonObject = {
        "resourceType": "DiagnosticReport",
        "id": _id(report, "report"),
        "status": report.status,
        "identifier": [
            {"system": "urn:cytostream:slide", "value": f"{report.slide_id}/{report.version}"}
        ],
        "category": [{"coding": [CATEGORY]}],
        "code": {"coding": [panel_of(report)]},
        "result": [
            {"reference": _urn(o["id"]), "display": o["code"]["text"]} for o in observations
        ],
        "specimen": [_specimen(report)],
        "text": {"status": "generated", "div": _narrative(report)},
    }
    if report.scanned:
        says["effectiveDateTime"] = report.scanned.isoformat()
    said = report.specimen
    if said.patient_id:
        who = {"identifier": {"value": said.patient_id}}
        says["subject"] = {**who, **({"display": said.patient_name} if said.patient_name else {})}
    if said.order:
        says["basedOn"] = [{"identifier": {"value": said.order}}]
    if report.laboratory:
        says["performer"] = [{"display": report.laboratory}]
    if signed := report.signature:
        says |= {"issued": signed.at.isoformat(), "resultsInterpreter": [{"display": signed.by}]}
        if signed.comment:
            says["conclusion"] = signed.comment
    return says


def _specimen(report: SlideReport) -> JsonObject:
    """The specimen by its accession number, where that is known."""
    says: JsonObject = {"display": f"blood smear {report.slide_id}"}
    if report.specimen.accession:
        says["identifier"] = {"value": report.specimen.accession}
    return says


def _narrative(report: SlideReport) -> str:
    """What the report says in words, as XHTML (FHIR R4, Narrative)."""
    comments = [f"{each.by}: {each.text}" for each in report.comments]
    conclusion = report.signature.comment if report.signature else None
    spoken = [conclusion] if conclusion else []
    sentences = [*report.remarks, *report.red_sentences, *comments, *spoken]
    lines = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{lines}</div>'


def _observation(report: SlideReport, line: DifferentialLine) -> JsonObject:
    unit = "%" if line.white else "/100{WBCs}"
    says: JsonObject = {
        "resourceType": "Observation",
        "id": _id(report, line.name),
        "status": report.status,
        "category": [{"coding": [LAB]}],
        "code": {"coding": _codes(report, line), "text": line.title},
        "note": [{"text": f"{line.count} cells of {report.white} white cells"}],
    }
    if report.scanned:
        says["effectiveDateTime"] = report.scanned.isoformat()
    if line.per_100 is None:
        missing = {
            "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
            "code": "not-performed",
        }
        return {**says, "dataAbsentReason": {"coding": [missing]}}
    says["valueQuantity"] = _quantity(line.per_100, unit)
    if line.low is not None and line.high is not None:
        says["referenceRange"] = [
            {"low": _quantity(line.low, unit), "high": _quantity(line.high, unit)}
        ]
    if line.flag:
        code, display = FLAGS[line.flag]
        says["interpretation"] = [
            {"coding": [{"system": FLAG_SYSTEM, "code": code, "display": display}]}
        ]
    return says


def _red_observation(report: SlideReport, line: RedLine) -> JsonObject:
    """The grade of a kind of red cells, on the ordinal scale of its LOINC term, with its share."""
    local = {"system": _LOCAL, "code": line.name, "display": line.title}
    judged = report.facts["red_cells"]["judged"]
    share = {
        "code": {"text": "share of red cells"},
        "valueQuantity": {**_quantity(line.percent, "%"), "value": line.percent},
    }
    says: JsonObject = {
        "resourceType": "Observation",
        "id": _id(report, f"red {line.name}"),
        "status": report.status,
        "category": [{"coding": [LAB]}],
        "code": {
            "coding": [{"system": LOINC, "code": line.loinc}, local],
            "text": line.title,
        },
        "valueCodeableConcept": {"text": f"{line.grade_text} {GRADE_WORDS[line.grade]}".strip()},
        "component": [share],
        "note": [
            {
                "text": f"{line.count} of {judged} red cells, 95 % interval {line.low:.1f} to "
                f"{line.high:.1f} %; graded after ICSH 2015"
            }
        ],
    }
    if report.scanned:
        says["effectiveDateTime"] = report.scanned.isoformat()
    return says


def _codes(report: SlideReport, line: DifferentialLine) -> list[JsonObject]:
    local = {"system": _LOCAL, "code": line.name, "display": line.title}
    loinc = report.scheme[line.name].loinc
    return [{"system": LOINC, "code": loinc}, local] if loinc else [local]


def _quantity(value: float, unit: str) -> JsonObject:
    return {"value": round(value, 1), "unit": unit, "system": UCUM, "code": unit}


def _id(report: SlideReport, what: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"urn:cytostream:{report.slide_id}:{report.version}:{what}"))


def _urn(of: str) -> str:
    return f"urn:uuid:{of}"
