"""The OpenAPI document keeps its word: schemathesis asks every operation, with what fits it and what does not."""

import re

import pytest
from hypothesis import HealthCheck, settings

schemathesis = pytest.importorskip("schemathesis", reason="the test extra is not installed")
EXAMPLES = 10
api = schemathesis.pytest.from_fixture("document")
ID = re.compile(r"[0-9a-f]{8,64}")


@pytest.fixture
def document(open_lab, tmp_path):
    lab = open_lab(requests_per_s=1e6)
    lab.app.state.parts.reasons._folder = tmp_path  # no model here: an explanation is a 404, and no engine is loaded
    document.lab = lab
    return schemathesis.openapi.from_asgi("/api/openapi.json", lab.app, headers={"Host": "127.0.0.1"})


@api.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation(case):
    lab = document.lab
    if "slide_id" in case.path_parameters and ID.fullmatch(str(case.path_parameters["slide_id"])):
        case.path_parameters["slide_id"] = lab.made.slide.slide_id
    stamp = lab.one.get("/api/me").json()["csrf"]
    cookie = lab.one.http.cookies["cytostream_session"]
    headers = {"Host": "127.0.0.1", "X-CSRF-Token": stamp, "Cookie": f"cytostream_session={cookie}"}
    # what is well-formed may still be refused: a slide that is locked, nothing to undo
    case.call_and_validate(headers=headers, excluded_checks=[schemathesis.checks.positive_data_acceptance])
