"""The count as FHIR R4: a transaction of one DiagnosticReport, an Observation a class with its
LOINC code, the specimen and what has counted.

The tests check the shapes with the models of `fhir.resources` (R4B, in which these resources are
those of R4).
"""

import json
from html import escape
from importlib.metadata import version
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid5

from stream.events import JsonObject
from stream.review.differential import DifferentialLine
from stream.review.texts import Texts

from .document import place_words
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
    """The bundle as JSON text: a transaction that a server may take again and again, since each
    resource is put by its identifier. The same report gives the same ids.
    """
    observations = [
        _observation(report, line)
        for line in report.shown_lines
        if line.name not in ("other", "unidentified", "platelet")
    ]
    observations += [_red_observation(report, line) for line in report.red_lines if line.loinc]
    resources = [
        _diagnostic(report, observations),
        *observations,
        _specimen(report),
        _device(report),
    ]
    bundle: JsonObject = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_entry(resource) for resource in resources],
    }
    return json.dumps(bundle, indent=1, ensure_ascii=False)


def _entry(resource: JsonObject) -> JsonObject:
    """A resource, put where one with its identifier is, else made."""
    own = resource["identifier"][0]
    query = urlencode({"identifier": f"{own['system']}|{own['value']}"})
    kind = resource["resourceType"]
    stated = {name: value for name, value in resource.items() if name != "id"}
    return {
        "fullUrl": _urn(resource["id"]),
        "resource": stated,
        "request": {"method": "PUT", "url": f"{kind}?{query}"},
    }


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
        "specimen": [{"reference": _urn(_id(report, "specimen"))}],
        "text": {"status": "generated", "div": _narrative(report)},
        **_about(report),
    }
    if report.laboratory:
        says["performer"] = [{"display": report.laboratory}]
    if signed := report.signature:
        says |= {"issued": signed.at.isoformat(), "resultsInterpreter": [{"display": signed.by}]}
        if signed.comment:
            says["conclusion"] = signed.comment
    return says


def _about(report: SlideReport) -> JsonObject:
    """Whose it is, what was ordered, when the slide was scanned; by identifier, so that a server
    needs no more than it has.
    """
    said = report.specimen
    about: JsonObject = {}
    if said.patient_id:
        about["subject"] = {"type": "Patient", "identifier": {"value": said.patient_id}}
        if said.patient_name:
            about["subject"]["display"] = said.patient_name
    if said.order:
        about["basedOn"] = [{"type": "ServiceRequest", "identifier": {"value": said.order}}]
    if report.scanned_at:
        about["effectiveDateTime"] = report.scanned_at
    return about


def _specimen(report: SlideReport) -> JsonObject:
    said = report.specimen
    says: JsonObject = {
        "resourceType": "Specimen",
        "id": _id(report, "specimen"),
        "identifier": [{"system": "urn:cytostream:slide", "value": report.slide_id}],
        "type": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/v2-0487",
                    "code": "BLD",
                    "display": "Whole blood",
                }
            ],
            "text": "blood smear",
        },
    }
    if said.accession:
        says["accessionIdentifier"] = {"value": said.accession}
    if said.container or said.barcode:
        says["container"] = [{"identifier": [{"value": said.container or said.barcode}]}]
    if "subject" in (about := _about(report)):
        says["subject"] = about["subject"]
    return says


def _device(report: SlideReport) -> JsonObject:
    """The program and its model, as what has counted."""
    model = str(report.facts.get("model_id", "unknown"))
    return {
        "resourceType": "Device",
        "id": _device_id(report),
        "identifier": [{"system": "urn:cytostream:model", "value": model}],
        "deviceName": [{"name": "cytostream", "type": "user-friendly-name"}],
        "type": {"text": "software that classifies blood cells"},
        "version": [
            {"type": {"text": "software"}, "value": version("cytostream")},
            {"type": {"text": "model"}, "value": model},
        ],
    }


def _counted(report: SlideReport, what: str) -> JsonObject:
    """What all observations have: identifier, status, specimen, device, method."""
    by = "reviewed and signed by a person" if report.signature else "not reviewed by a person"
    return {
        "resourceType": "Observation",
        "id": _id(report, what),
        "identifier": [
            {
                "system": "urn:cytostream:observation",
                "value": f"{report.slide_id}/{report.version}/{what}",
            }
        ],
        "status": report.status,
        "category": [{"coding": [LAB]}],
        "method": {"text": f"digital microscopy, diffusion classifier, {by}"},
        "specimen": {"reference": _urn(_id(report, "specimen"))},
        "device": {"reference": _urn(_device_id(report))},
        **_about(report),
    }


def _narrative(report: SlideReport) -> str:
    """What the report says in words, as XHTML (FHIR R4, Narrative)."""
    t = Texts()
    comments = [f"{each.by}{place_words(t, report, each)}: {each.text}" for each in report.comments]
    conclusion = report.signature.comment if report.signature else None
    spoken = [conclusion] if conclusion else []
    sentences = [*report.remarks, *report.red_sentences, *comments, *spoken]
    lines = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{lines}</div>'


def _observation(report: SlideReport, line: DifferentialLine) -> JsonObject:
    unit = "%" if line.white else "/100{WBCs}"
    says: JsonObject = {
        **_counted(report, line.name),
        "code": {"coding": _codes(report, line), "text": line.title},
        "note": [{"text": f"{line.count} cells of {report.white} white cells"}],
    }
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
        "valueQuantity": {**_quantity(line.percent, "%"), "value": round(line.percent, 2)},
    }
    return {
        **_counted(report, f"red-{line.name}"),
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


def _codes(report: SlideReport, line: DifferentialLine) -> list[JsonObject]:
    local = {"system": _LOCAL, "code": line.name, "display": line.title}
    loinc = report.scheme[line.name].loinc
    return [{"system": LOINC, "code": loinc}, local] if loinc else [local]


def _quantity(value: float, unit: str) -> JsonObject:
    return {"value": round(value, 1), "unit": unit, "system": UCUM, "code": unit}


def _id(report: SlideReport, what: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"urn:cytostream:{report.slide_id}:{report.version}:{what}"))


def _device_id(report: SlideReport) -> str:
    model = report.facts.get("model_id", "unknown")
    return str(uuid5(NAMESPACE_URL, f"urn:cytostream:model:{model}"))


def _urn(of: str) -> str:
    return f"urn:uuid:{of}"
