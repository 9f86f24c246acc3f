"""The OpenAPI document keeps its word: schemathesis asks every operation, with what fits it
and what does not.
"""

import re

import pytest
from hypothesis import HealthCheck, Phase, given, settings

schemathesis = pytest.importorskip("schemathesis", reason="the test extra is not installed")
EXAMPLES = 3
ID = re.compile(r"[0-9a-f]{8,64}")


@pytest.fixture
def asked(open_lab, tmp_path):
    """A lab without a model, so that an explanation is a 404 and no engine is loaded, and its
    document.
    """
    lab = open_lab(requests_per_s=1e6, logins_per_minute=10**6)
    lab.app.state.parts.reasons._folder = tmp_path
    shown = {
        "Host": "127.0.0.1",
        "Cookie": f"cytostream_session={lab.one.http.cookies['cytostream_session']}",
    }
    return lab, schemathesis.openapi.from_asgi("/api/openapi.json", lab.app, headers=shown)


def ask(lab, case):
    """Sends a case as our page would, about a slide that is there where it asks about one
    that might be.
    """
    if ID.fullmatch(str((case.path_parameters or {}).get("slide_id", ""))):
        case.path_parameters["slide_id"] = lab.made.slide.slide_id
    lab.one = lab.opened()  # the last case may have logged out
    stamp = lab.one.get("/api/me").json()["csrf"]
    cookie = f"cytostream_session={lab.one.http.cookies['cytostream_session']}"
    # what is well formed may still be refused: nothing to undo, a slide that is locked
    refusable = [schemathesis.checks.positive_data_acceptance]
    headers = {"Host": "127.0.0.1", "X-CSRF-Token": stamp, "Cookie": cookie}
    case.call_and_validate(headers=headers, excluded_checks=refusable)


def test_every_operation_keeps_its_word(asked):
    lab, document = asked
    count = 0
    for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
        for operation in (result.ok() for result in document.get_all_operations()):
            if mode is schemathesis.GenerationMode.NEGATIVE and not operation.body:
                continue  # nothing of it could be wrong in a way of its own

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(operation.as_strategy(generation_mode=mode))
            def run(case):
                nonlocal count
                count += 1
                ask(lab, case)

            run()
    assert count > 100
    print(f"schemathesis asked {count} times")
