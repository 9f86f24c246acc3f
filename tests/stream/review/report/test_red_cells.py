"""What a report says of red cells, and that FHIR and PDF say it too."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from jinja2 import Environment, FileSystemLoader

import stream.review.web
from stream.review.red_cells import RED_KINDS
from stream.review.report.document import document_of
from stream.review.report.fhir import fhir_of
from stream.review.report.pdf import pdf_of
from stream.review.report.red_cells import PER_LITRE, red_lines, red_sentences
from stream.review.report.report import FILE_CHANGED, SlideReport
from stream.review.review_state import Standing
from stream.review.texts import Texts
from stream.run.red_morphology import GRADES


def figures() -> dict:
    shares = {"spherocyte": (120, 12.0, 3), "normal": (880, 88.0, 0), "schistocyte": (0, 0.0, 0)}
    return {
        "fields": 20,
        "mm2": 0.76,
        "cells": 4000,
        "diameter_um": 7.1,
        "diameter_mean_um": 7.0,
        "diameter_cv": 0.12,
        "pallor": 0.21,
        "platelets_per_field": 14.0,
        "platelets_per_litre": 210e9,
        "whites_per_litre": 6.2e9,
        "platelet_clumps": 1,
        "large_platelets": 3,
        "judged": 1000,
        "anomalous": 2,
        "kinds": {
            name: {"count": count, "percent": percent, "low": 0.0, "high": 90.0, "grade": grade}
            for name, (count, percent, grade) in shares.items()
        },
    }


def report_with(facts: dict) -> SlideReport:
    return SlideReport(
        "s1",
        "smear",
        "",
        1,
        None,
        None,
        SimpleNamespace(classes=[]),
        [],
        [],
        0,
        [],
        Standing(),
        [],
        [],
        [],
        facts,
        (),
        lambda: None,
    )


def test_kinds_stand_in_one_order_with_their_grades():
    lines = red_lines({"red_cells": figures()})
    assert [line.name for line in lines] == ["schistocyte", "spherocyte", "normal"]
    assert [line.grade_text for line in lines] == ["", "3+", ""]


def test_every_graded_kind_has_a_title_and_a_code():
    assert GRADES.keys() <= RED_KINDS.keys()
    assert all(RED_KINDS[name][1] for name in GRADES)


def test_the_sentences_give_size_chromia_and_platelets():
    said = " ".join(red_sentences({"red_cells": figures()}))
    litres = f"210 {PER_LITRE}", f"6.2 {PER_LITRE}"
    for part in ("4000 red cells", "7.0 \N{MICRO SIGN}m", "12 %", "0.21", *litres):
        assert part in said


@pytest.mark.parametrize("facts", [{}, {"red_cells": None}])
def test_a_slide_without_red_cells_has_none(facts):
    assert red_lines(facts) == [] and red_sentences(facts) == []
    assert observations_of(report_with(facts)) == []


def observations_of(report):
    resources = [entry["resource"] for entry in json.loads(fhir_of(report))["entry"]]
    return [one for one in resources if one["resourceType"] == "Observation"]


def test_fhir_has_an_observation_a_graded_kind():
    observations = observations_of(report_with({"red_cells": figures()}))
    codes = {o["code"]["coding"][0]["code"]: o for o in observations}
    assert codes.keys() == {"802-9", "800-3"}
    assert codes["802-9"]["valueCodeableConcept"]["text"] == "3+ many"
    assert codes["802-9"]["component"][0]["valueQuantity"]["value"] == 12.0


def test_the_printable_page_has_their_table():
    folder = Path(stream.review.web.__file__).parent / "templates"
    page = Environment(loader=FileSystemLoader(folder), autoescape=True).get_template("report.html")

    def told(report):
        said = {"report": report, "document": document_of(report), "pictures": {}}
        return page.render(t=Texts(), logo="", **said)

    with_reds = told(report_with({"red_cells": figures()}))
    assert "Spherocytes" in with_reds and "3+" in with_reds and f"210 {PER_LITRE}" in with_reds
    assert "Spherocytes" not in told(report_with({}))


def test_the_paper_has_their_table():
    without = pdf_of(report_with({}), lambda cell: b"")
    assert len(pdf_of(report_with({"red_cells": figures()}), lambda cell: b"")) > len(without) + 500


@pytest.mark.parametrize(
    ("file", "is_said"), [("changed", True), ("there", False), ("gone", False)]
)
def test_a_report_says_where_the_file_is_no_longer_the_slide(file, is_said):
    report = replace(report_with({}), file=file)
    assert (FILE_CHANGED in report.remarks) is is_said
