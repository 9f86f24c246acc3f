"""A pytest plugin: what coverage measures is labelled with the test that runs, or with the shared
fixture that is being set up; a line of JSON a test says how long it took and what it leans on.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import coverage
import pytest

LABEL, TIMES = "MEASURED_TEST", "MEASURED_TIMES"  # variables of the environment
FIXTURE = "fixture "
elapsed: dict[str, float] = {}  # of shared fixtures
failed: set[str] = set()


@contextmanager
def labelled(label: str) -> Iterator[None]:
    """Lines run inside count for the label; in processes that are started, too."""
    before = os.environ.get(LABEL, "")
    use(label)
    try:
        yield
    finally:
        use(before)


def use(label: str) -> None:
    os.environ[LABEL] = label
    running = coverage.Coverage.current()
    if running is not None:
        running.switch_context(label)


def label_of(fixture: pytest.FixtureDef) -> str:
    return f"{FIXTURE}{fixture.baseid}::{fixture.argname}"


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef) -> Iterator[None]:
    if fixturedef.scope == "function":
        return (yield)
    start = time.monotonic()
    with labelled(label_of(fixturedef)):
        try:
            return (yield)
        finally:
            elapsed[label_of(fixturedef)] = time.monotonic() - start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if not report.passed:
        failed.add(item.nodeid)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    before, start = dict(elapsed), time.monotonic()
    with labelled(item.nodeid):
        result = yield
    shared = sum(elapsed[name] for name in elapsed.keys() - before.keys())
    found = getattr(item, "_fixtureinfo", None)
    definitions = [one for many in found.name2fixturedefs.values() for one in many] if found else []
    fixtures = sorted({label_of(one) for one in definitions if one.scope != "function"})
    line = {
        "test": item.nodeid,
        "passed": item.nodeid not in failed,
        "seconds": time.monotonic() - start - shared,
        "fixtures": {name: elapsed.get(name, 0.0) for name in fixtures},
    }
    with Path(os.environ[TIMES], f"times-{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    return result
