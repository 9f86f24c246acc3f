"""The harness itself: faults are where they say, and the tests of a module are found."""

import ast
import json

import pytest
from coverage import CoverageData

from tests.tools.mutants import fork_runner
from tests.tools.mutants.__main__ import ROOT, drawn, wilson
from tests.tools.mutants.chosen import Chosen
from tests.tools.mutants.fork_runner import Request
from tests.tools.mutants.line_map import LineMap
from tests.tools.mutants.mutations import Mutation, mutations_of
from tests.tools.mutants.relevant import TestMap

SOURCE = '''"""Text 1 < 2."""
LIMIT = 3


def f(a: int = 4, é="ü") -> bool:
    """Doc: a and b."""
    if a < LIMIT and not é:
        raise ValueError(f"{a + 1} < 2")
    print("a and b")
    sql = """SELECT x FROM t
        WHERE a = 1 AND b < 2 ORDER BY c DESC"""
    return run(sql) + 1
'''


@pytest.fixture
def faults(tmp_path):
    path = tmp_path / "m.py"
    path.write_text(SOURCE)
    found = mutations_of(tmp_path, path)
    changed = [mutation.applied(SOURCE.encode()).decode() for mutation in found]
    return list(zip(found, changed, strict=True))


def test_each_fault_is_one_change_of_a_program_that_still_can_be_read(faults):
    for mutation, changed in faults:
        ast.parse(changed)
        assert changed != SOURCE and '"""Doc: a and b."""' in changed, mutation
        assert 'f"{a + 1} < 2"' in changed or "pass" in changed
    assert len({changed for _, changed in faults}) == len(faults)


def test_every_kind_is_drawn(faults):
    by_kind = {}
    for mutation, changed in faults:
        by_kind.setdefault(mutation.kind, []).append(changed)
    assert by_kind.keys() == {
        "comparison",
        "boolean",
        "constant",
        "statement",
        "sql",
        "return",
        "arithmetic",
    }
    assert any("if (a >= LIMIT) and" in changed for changed in by_kind["comparison"])
    assert any("return None" in changed for changed in by_kind["return"])
    sql = "\n".join(by_kind["sql"])
    assert "a = 1 OR b" in sql and "b > 2" in sql and "a != 1" in sql and 'ORDER BY c"' in sql
    assert any("LIMIT = 4" in changed for changed in by_kind["constant"])
    assert len(by_kind["statement"]) == 2


def test_a_draw_is_a_function_of_its_seed():
    only = ["stream/store/leases.py"]
    assert drawn(ROOT, only, 5, seed=3) == drawn(ROOT, only, 5, seed=3)
    assert drawn(ROOT, only, 5, seed=3) != drawn(ROOT, only, 5, seed=4)


def test_the_tests_of_a_module_are_those_beside_it_and_those_that_import_it():
    tests = TestMap(ROOT).of("stream.store.leases", 3)
    assert tests[0] == "tests/stream/store/test_leases.py" and len(tests) == 3
    judged = TestMap(ROOT).of("classify.judge", 20)
    assert {"tests/classify/test_judge.py", "tests/classify/test_what_draws_see.py"} <= set(judged)


def test_the_interval_of_a_share():
    low, high = wilson(78, 100)
    assert low == pytest.approx(0.689, abs=0.002) and high == pytest.approx(0.850, abs=0.002)


MEASURED = """LIMIT = 3


def f(a: int = 4) -> bool:
    return (
        a
        < LIMIT
    )
"""


@pytest.fixture
def kept(tmp_path):
    """A map in which two tests ran `f`, one of them in a fixture of its file, and one did not."""
    folder, root = tmp_path / "kept", tmp_path / "root"
    for base in (folder / "sources", root):
        (base / "ingest").mkdir(parents=True)
        (base / "ingest" / "m.py").write_text(MEASURED)
        (base / "tests" / "ingest").mkdir(parents=True)
        for name in ("test_m", "test_n"):
            (base / "tests" / "ingest" / f"{name}.py").write_text("from ingest.m import f\n")
    data = CoverageData(str(folder / ".coverage"))
    measured = "/elsewhere/ingest/m.py"
    data.set_context("")
    data.add_lines({measured: [1, 4]})
    data.set_context("tests/ingest/test_n.py::test_slow")
    data.add_lines({measured: [5, 6, 7]})
    data.set_context("fixture tests/ingest/test_m.py::made")
    data.add_lines({measured: [6]})
    data.write()
    rows = [
        ("tests/ingest/test_m.py::test_fast", 0.1, {"fixture tests/ingest/test_m.py::made": 1.0}),
        ("tests/ingest/test_n.py::test_slow", 30.0, {}),
        ("tests/ingest/test_n.py::test_else", 0.1, {}),
    ]
    (folder / "times-1.jsonl").write_text(
        "".join(
            json.dumps({"test": test, "seconds": seconds, "passed": True, "fixtures": fixtures})
            + "\n"
            for test, seconds, fixtures in rows
        )
    )
    return LineMap(root, folder)


RUN_F = {"tests/ingest/test_m.py::test_fast", "tests/ingest/test_n.py::test_slow"}


def test_the_tests_of_a_line_are_those_that_ran_it_and_those_of_a_shared_fixture_that_did(kept):
    assert kept.tests_of("ingest/m.py", [6]) == RUN_F
    assert kept.tests_of("ingest/m.py", [7]) == {"tests/ingest/test_n.py::test_slow"}
    assert kept.tests_of("ingest/m.py", [1]) == set()
    assert kept.seconds["tests/ingest/test_m.py::test_fast"] == pytest.approx(1.1)


def test_lines_that_moved_keep_their_tests_and_a_changed_file_of_tests_runs_as_a_whole(kept):
    (kept.root / "ingest" / "m.py").write_text("import os\n\n" + MEASURED)
    (kept.root / "tests" / "ingest" / "test_m.py").write_text("from ingest.m import f  # changed\n")
    found = kept.tests_of("ingest/m.py", [8])
    assert found == {"tests/ingest/test_m.py", "tests/ingest/test_n.py::test_slow"}
    assert kept.tests_of("ingest/m.py", [1]) == set()


def test_a_fault_runs_the_near_and_fast_tests_first_and_a_constant_those_of_its_name(kept):
    chosen = Chosen(kept.root, kept)
    inside = Mutation("ingest/m.py", 6, "constant", 0, 0, "")
    in_constant = Mutation("ingest/m.py", 1, "constant", 0, 0, "")
    in_default = Mutation("ingest/m.py", 4, "constant", 0, 0, "")
    assert chosen.bound_at("ingest/m.py", 6) is None
    assert chosen.bound_at("ingest/m.py", 1) == {"LIMIT"}
    assert chosen.bound_at("ingest/m.py", 4) == {"f"}
    listed = "tests/test_fixed_values.py::test_the_values_are_those_that_were_chosen[ingest]"
    for mutation, at_last in ((inside, []), (in_constant, [[listed]])):
        batches = chosen.of(mutation)
        assert batches[0] == ["tests/ingest/test_m.py::test_fast"]
        assert [["tests/ingest/test_n.py::test_slow"], *at_last] == batches[-1 - len(at_last) :]
    assert "tests/ingest/test_m.py" in sum(chosen.of(in_default), [])


def test_a_fork_tells_the_first_test_that_fails_and_a_hang(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    path = tmp_path / "test_one.py"
    path.write_text("def test_a(): pass\ndef test_b(): assert 0\ndef test_c(): pass\n")
    request = Request(tests=[str(path)], limit_s=30.0, scratch=str(tmp_path))
    answer = fork_runner.run(request)
    assert answer["status"] == 1 and answer["failed"].endswith("::test_b") and answer["ran"] == 2
    path.write_text("def test_a():\n    while True: pass\n")
    assert fork_runner.run(request | {"limit_s": 0.05})["status"] == fork_runner.LATE
