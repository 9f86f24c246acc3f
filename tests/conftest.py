"""For machines that do other work, too; and what `make quick` leaves out, decided here alone.

`make quick` runs what needs no broker, browser, torch or training and takes well under a second a
test: about 1,800 tests. Whole files are left out before they are imported, so that torch and the
browser's driver are not loaded.
"""

import logging
import os
from contextlib import closing
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests' networks are too small for two

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from stream.cli.console import screen  # noqa: E402
from stream.cli.json_logs import LOGGERS  # noqa: E402
from tests.golden_figures import GoldenFile  # noqa: E402

settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

screen._width = None  # COLUMNS counts when something is printed, not when this was imported
HERE = Path(__file__).parent
SLOW_MARKS = {"broker", "rtx", "slow", "train"}
SLOW_FIXTURES = {"apache", "session_broker", "kafka_for"}
SLOW_PATHS = {
    "browser",
    "classify/benchmark",
    "classify/engines/test_onnx_lowering.py",
    "classify/engines/test_openvino_signals.py",
    "classify/engines/test_plan_cache.py",
    "classify/engines/test_recorded_pass.py",
    "classify/engines/test_same_verdicts.py",
    "classify/evaluation",
    "classify/explain",
    "classify/training",
    "classify/test_golden_verdicts.py",
    "contracts/test_engine_openvino.py",
    "contracts/test_engine_tensorrt.py",
    "contracts/test_engine_torch.py",
    "ingest/readers/test_what_is_empty.py",
    "ingest/synthetic",
    "ingest/test_golden_slide.py",
    "ingest/test_cluster.py",
    "ingest/test_fuzz.py",
    "ingest/test_scheduler_access.py",
    "ingest/test_smear_map.py",
    "ingest/test_workers.py",
    "segment/test_golden_cells.py",
    "segment/test_golden_scan.py",
    "segment/test_smear_check.py",
    "stream/cli/test_bench.py",
    "stream/cli/test_bench_locate.py",
    "stream/cli/test_cli.py",
    "stream/cli/test_hanging_file.py",
    "stream/cli/test_new_user.py",
    "stream/cli/test_teach.py",
    "stream/cli/test_watch.py",
    "stream/kafka",
    "stream/review",
    "stream/run/test_pipeline.py",
    "stream/store/test_backlog.py",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--remake-golden", action="store_true", help="writes the golden figures anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> GoldenFile:
    """Holds figures against those that are written down in `golden` beside the test's file."""
    return GoldenFile(request.path.parent / "golden", request.config.getoption("remake_golden"))


@pytest.fixture(scope="session")
def apache():
    """A node of Apache Kafka, where its jars are."""
    from tests.apache_kafka import ApacheBroker, why_no_kafka

    if reason := why_no_kafka():
        pytest.skip(reason)
    with closing(ApacheBroker()) as broker:
        yield broker.start()


def is_quick_run(config: pytest.Config) -> bool:
    return bool(config.getoption("markexpr") == "quick")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Nothing of the slow paths is imported for a quick run."""
    inside = collection_path.is_relative_to(HERE)
    path = collection_path.relative_to(HERE).as_posix() if inside else ""
    return True if is_quick_run(config) and path in SLOW_PATHS else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks the quick ones; with `--remake-golden` only those that hold golden figures stay."""
    if config.getoption("remake_golden"):
        items[:] = [item for item in items if "golden" in getattr(item, "fixturenames", ())]
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        fixtures = set(getattr(item, "fixturenames", ()))
        path = item.path.relative_to(HERE).as_posix() if item.path.is_relative_to(HERE) else ""
        folders = {path, *(parent.as_posix() for parent in Path(path).parents)}
        if not (marks & SLOW_MARKS or fixtures & SLOW_FIXTURES or folders & SLOW_PATHS):
            item.add_marker("quick")


@pytest.fixture(autouse=True)
def _logs_as_they_were():
    """A command sets the levels of logs for its whole process."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
