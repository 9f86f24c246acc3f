"""`python -m tests.tools.mutants.line_map`: runs the suite under coverage and keeps, below
`runs/line-map`, which tests run each line of the product, how long each takes, and the sources that
were measured. `make cover` prints its branches; `make mutants` runs the tests of a line by it.
"""

import difflib
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from coverage import CoverageData

from tests.tools.mutants.measured import FIXTURE, TIMES
from tests.tools.mutants.relevant import FOLDERS

ROOT = Path(__file__).parents[3]
KEPT = ROOT / "runs" / "line-map"
DATA = ".coverage"


@dataclass(frozen=True)
class LineMap:
    """What was measured, read for a tree that may have changed since."""

    root: Path
    kept: Path = KEPT

    @cached_property
    def data(self) -> CoverageData:
        data = CoverageData(str(self.kept / DATA))
        data.read()
        return data

    @cached_property
    def files(self) -> dict[str, str]:
        """The name that a measured file has in the data, by its path below the root."""
        found = {}
        for name in self.data.measured_files():
            parts = Path(name).parts
            tops = [at for at, part in enumerate(parts) if part in FOLDERS]
            for at in tops:
                path = "/".join(parts[at:])
                if (self.kept / "sources" / path).exists():
                    found[path] = name
        return found

    @cached_property
    def seconds(self) -> dict[str, float]:
        """Of each test that passed, with the shared fixtures that it needs."""
        return {test: one[0] for test, one in self.tests.items()}

    @cached_property
    def tests(self) -> dict[str, tuple[float, list[str]]]:
        """Seconds and shared fixtures of each test that passed."""
        lines = [
            json.loads(line)
            for path in sorted(self.kept.glob("times-*.jsonl"))
            for line in path.read_text().splitlines()
        ]
        return {
            one["test"]: (one["seconds"] + sum(one["fixtures"].values()), list(one["fixtures"]))
            for one in lines
            if one["passed"]
        }

    @cached_property
    def users(self) -> dict[str, set[str]]:
        """The tests that lean on a shared fixture."""
        found: dict[str, set[str]] = defaultdict(set)
        for test, (_, fixtures) in self.tests.items():
            for fixture in fixtures:
                found[fixture].add(test)
        return found

    def tests_of(self, path: str, lines: Iterable[int]) -> set[str]:
        """The tests that run one of the lines of a file as it is today; files of tests that are
        new or changed since stand as a whole in the place of their tests.
        """
        if path not in self.files:
            return set()
        by_line = self.contexts(path)
        before = self.measured_lines(path)
        labels = {
            label.split("|")[-1] for line in lines for label in by_line.get(before.get(line, 0), ())
        }
        found = {label for label in labels if label in self.tests}
        for label in labels:
            if label.startswith(FIXTURE):
                found |= self.users[label]
        return {self.present(test) for test in found}

    def contexts(self, path: str) -> dict[int, list[str]]:
        return self.data.contexts_by_lineno(self.files[path])

    def present(self, test: str) -> str:
        file = test.partition("::")[0]
        return file if self.is_changed(file) else test

    def is_changed(self, path: str) -> bool:
        kept, now = self.kept / "sources" / path, self.root / path
        return not kept.exists() or not now.exists() or kept.read_bytes() != now.read_bytes()

    def measured_lines(self, path: str) -> dict[int, int]:
        """The number that a line of today had when it was measured."""
        before = (self.kept / "sources" / path).read_text().splitlines()
        now = (self.root / path).read_text().splitlines()
        if before == now:
            return {line: line for line in range(1, len(now) + 1)}
        found = {}
        for block in difflib.SequenceMatcher(a=before, b=now, autojunk=False).get_matching_blocks():
            for at in range(block.size):
                found[block.b + at + 1] = block.a + at + 1
        return found


def measure(arguments: list[str]) -> None:
    """Runs the suite and keeps its map."""
    shutil.rmtree(KEPT, ignore_errors=True)
    for folder in (*FOLDERS, "tests"):
        shutil.copytree(
            ROOT / folder, KEPT / "sources" / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    env = {**os.environ, "COVERAGE_FILE": str(KEPT / DATA), TIMES: str(KEPT)}
    coverage = [sys.executable, "-m", "coverage"]
    plugin = ["-p", "tests.tools.mutants.measured", "-p", "no:cacheprovider"]
    run = [*coverage, "run", "-m", "pytest", *plugin, "--timeout=600", *arguments]
    status = subprocess.run(run, cwd=ROOT, env=env, check=False).returncode
    subprocess.run([*coverage, "combine", "--quiet"], cwd=ROOT, env=env, check=True)
    raise SystemExit(status)


if __name__ == "__main__":
    measure(sys.argv[1:] or ["-n", "2", "--dist", "loadfile"])
