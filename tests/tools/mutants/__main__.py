"""`python -m tests.tools.mutants --count 150 --seed 7`: puts single faults into a copy of the
product, one at a time, and runs the tests that import the module: how many are noticed.

The faults are drawn with the seed over all files, or over those given. What is known already stands
in the file of results, so that a run that was stopped goes on. A survivor is a fault that no test
notices, or one that changes nothing: that is for a person to tell.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.tools.mutants.mutations import Mutation, mutations_of
from tests.tools.mutants.relevant import FOLDERS, TestMap, module_of

ROOT = Path(__file__).parents[3]
Z = 1.96
IGNORED = shutil.ignore_patterns(".venv", ".git", "runs", "__pycache__", ".pytest_cache", ".mypy*")
Outcome = dict[str, str | int | float]


def drawn(root: Path, only: list[str], count: int, seed: int) -> list[Mutation]:
    """So many faults, each line of code alike likely."""
    files = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]
    chosen = [
        p for p in files if not only or any(str(p.relative_to(root)).startswith(o) for o in only)
    ]
    every = [mutation for path in chosen for mutation in mutations_of(root, path)]
    return random.Random(seed).sample(every, min(count, len(every)))  # noqa: S311  no secret


class Copy:
    """A copy of the tree that faults are put into."""

    def __init__(self, folder: Path, limit_s: float, most: int):
        self.root = folder / "tree"
        shutil.copytree(ROOT, self.root, ignore=IGNORED, symlinks=True)
        shared = ROOT.parent / "shared"  # data that some tests need beside the tree
        if shared.is_dir():
            (folder / "shared").symlink_to(shared)
        self.limit_s = limit_s
        self.most = most
        self.tests = TestMap(self.root)
        self.sound: dict[tuple[str, ...], bool] = {}

    def outcome(self, mutation: Mutation) -> str:
        """noticed, survived, late, untested, or unsound where the tests fail without the fault."""
        tests = self.tests.of(module_of(Path(mutation.path)), self.most)
        if not tests:
            return "untested"
        path = self.root / mutation.path
        source = path.read_bytes()
        try:
            path.write_bytes(mutation.applied(source))
            status = self.run(tests)
        finally:
            path.write_bytes(source)
        if status in (0, None):
            return "survived" if status == 0 else "late"
        return "noticed" if self.is_sound(tests) else "unsound"

    def is_sound(self, tests: list[str]) -> bool:
        """Whether the tests pass without a fault; each set of tests is tried once."""
        key = tuple(tests)
        if key not in self.sound:
            self.sound[key] = self.run(tests) in (0, None)
        return self.sound[key]

    def run(self, tests: list[str]) -> int | None:
        """The exit status of the tests; None where they take too long."""
        words = [
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "-m",
            "not slow and not broker",
        ]
        env = {**os.environ, "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                [sys.executable, *words, *tests],
                cwd=self.root,
                env=env,
                capture_output=True,
                timeout=self.limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        return done.returncode


def wilson(noticed: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    share, z2 = noticed / count, Z**2 / count
    half = (z2 * (share * (1 - share) + z2 / 4)) ** 0.5
    return (share + z2 / 2 - half) / (1 + z2), (share + z2 / 2 + half) / (1 + z2)


def report(outcomes: list[Outcome]) -> None:
    """Shares by package, and the survivors."""
    rows: dict[str, list[bool]] = defaultdict(list)
    for one in outcomes:
        if one["outcome"] != "unsound":
            package = str(Path(str(one["path"])).parent)
            for name in (package, "all"):
                rows[name].append(one["outcome"] in ("noticed", "late"))
    table = Table("package", "faults", "noticed", "95 %")
    for name in sorted(rows):
        low, high = wilson(sum(rows[name]), len(rows[name]))
        share = f"{sum(rows[name]) / len(rows[name]):.0%}"
        table.add_row(name, str(len(rows[name])), share, f"{low:.0%} to {high:.0%}")
    console = Console(width=140)
    console.print(table)
    for one in outcomes:
        if one["outcome"] not in ("noticed", "late"):
            line = f"{one['outcome']}: {one['path']}:{one['line']} {one['kind']} -> {one['text']}"
            console.print(line, markup=False, highlight=False)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--count", type=int, default=150)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--only", nargs="*", default=[], help="beginnings of paths")
    words.add_argument("--limit", type=float, default=180.0, help="seconds for the tests of one")
    words.add_argument("--tests", type=int, default=12, help="most test files for one")
    words.add_argument("--results", type=Path, help="file of results; one a seed by default")
    asked = words.parse_args()
    path = asked.results or ROOT / "runs" / f"mutants-{asked.seed}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    seen = {(one["path"], one["start"], one["end"], one["text"]) for one in known}
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder), asked.limit, asked.tests)
        for mutation in drawn(ROOT, asked.only, asked.count, asked.seed):
            if (mutation.path, mutation.start, mutation.end, mutation.text) in seen:
                continue
            start = time.monotonic()
            outcome = copy.outcome(mutation)
            one = asdict(mutation) | {"outcome": outcome, "seconds": time.monotonic() - start}
            known.append(one)
            with path.open("a") as file:
                file.write(json.dumps(one) + "\n")
            print(f"{outcome:<9} {mutation.path}:{mutation.line} {mutation.kind}", flush=True)
    report(known)


if __name__ == "__main__":
    main()
