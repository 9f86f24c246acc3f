"""The harness itself: faults are where they say, and the tests of a module are found."""

import ast

import pytest

from tests.tools.mutants.__main__ import ROOT, drawn, wilson
from tests.tools.mutants.mutations import mutations_of
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
