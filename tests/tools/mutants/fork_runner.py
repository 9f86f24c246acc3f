"""`python -m tests.tools.mutants.fork_runner`: has the foreign packages loaded and runs lists of
tests, each in a fork that imports the product anew: a request of JSON a line, an answer a line.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import TypedDict

import psutil
import pytest

LATE = -1
PATIENCE = 10


class Request(TypedDict):
    tests: list[str]
    limit_s: float
    scratch: str  # a folder of its own


class Answer(TypedDict):
    status: int  # of pytest; LATE where the time was over
    failed: str  # the first test that failed
    ran: int
    seconds: float  # of processor time


class FirstFailure:
    """A pytest plugin: which test failed first, and how many ran."""

    def __init__(self) -> None:
        self.failed = ""
        self.ran = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.ran += report.when == "call"
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid


def in_fork(request: Request, answer: Path) -> None:
    """Runs the tests and leaves what came out in a file; does not return."""
    os.setsid()
    with Path(request["scratch"], "output").open("wb") as output:
        for number in (1, 2):
            os.dup2(output.fileno(), number)
    seen = FirstFailure()
    words = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
    ]
    base = f"--basetemp={request['scratch']}/tmp"
    status = 1
    try:
        status = int(pytest.main([*words, base, *request["tests"]], plugins=[seen]))
    finally:
        answer.write_text(json.dumps({"status": status, "failed": seen.failed, "ran": seen.ran}))
        sys.stdout.flush()
        os._exit(0)


def run(request: Request) -> Answer:
    """The outcome of the tests in a fork, which ends when it has used so many seconds of processor
    time, or of the clock ten times that: the machine may have other work.
    """
    start = time.monotonic()
    answer = Path(request["scratch"], "answer")
    answer.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        in_fork(request, answer)
    process = psutil.Process(child)
    used_s, ended = 0.0, False
    clock_s = PATIENCE * request["limit_s"]
    while not ended and used_s < request["limit_s"] and time.monotonic() - start < clock_s:
        time.sleep(0.05)
        used_s = sum(process.cpu_times()[:4])
        ended = os.waitpid(child, os.WNOHANG)[0] != 0
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what the tests started and left goes, too
    if not ended:
        os.kill(child, signal.SIGKILL)  # it may not have begun its own group yet
        os.waitpid(child, 0)
    found = {"status": LATE if not ended else 1, "failed": "", "ran": 0}
    if ended and answer.exists():
        found = json.loads(answer.read_text())
    return Answer(**found, seconds=used_s)


def load(packages: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in packages:
            try:
                importlib.import_module(name)
            except Exception as cause:  # one that is not installed
                print(f"{name} is not loaded: {cause}", file=sys.stderr)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    load(json.loads(sys.stdin.readline()))
    threads = len(list(Path("/proc/self/task").iterdir()))  # one, or forks may hang
    answers.write(json.dumps(threads) + "\n")
    for line in sys.stdin:
        answers.write(json.dumps(run(json.loads(line))) + "\n")


if __name__ == "__main__":
    main()
