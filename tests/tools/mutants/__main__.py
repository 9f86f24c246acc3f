"""`python -m tests.tools.mutants --count 150 --seed 7`: puts single faults into a copy of the
product, one at a time, and runs the tests that run its line: how many are noticed.

The faults are drawn with the seed over all files, or over those given. Which tests run a line says
the map of `make cover`. What is known already stands in the file of results, so that a run that was
stopped goes on. A survivor is a fault that no test notices, or one that changes nothing: that is
for a person to tell, who writes "equivalent" in the place of "survived", and "why".
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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from queue import Queue
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.tools.mutants.chosen import LIST, Chosen
from tests.tools.mutants.fork_runner import LATE, Answer, Request
from tests.tools.mutants.line_map import DATA, KEPT, LineMap
from tests.tools.mutants.mutations import Mutation, mutations_of
from tests.tools.mutants.relevant import FOLDERS, foreign_packages

ROOT = Path(__file__).parents[3]
Z = 1.96
IGNORED = shutil.ignore_patterns(".venv", ".git", "runs", "__pycache__", ".pytest_cache", ".mypy*")
NO_TESTS = 5  # pytest's status
OUTCOMES = ("noticed", "late", "survived", "untested", "equivalent")
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
    """A copy of the tree that faults are put into, with a process that runs its tests."""

    def __init__(self, folder: Path, chosen: Chosen, limit_s: float):
        self.folder, self.chosen, self.limit_s = folder, chosen, limit_s
        self.root = folder / "tree"
        shutil.copytree(ROOT, self.root, ignore=IGNORED, symlinks=True)
        shared = ROOT.parent / "shared"  # data that some tests need beside the tree
        if shared.is_dir():
            (folder / "shared").symlink_to(shared)
        self.changes = 0
        self.sound: dict[tuple[str, ...], bool] = {}
        words = [sys.executable, "-m", "tests.tools.mutants.fork_runner"]
        env = {**os.environ, "PYTHONPATH": str(self.root), "OMP_NUM_THREADS": "1"}
        self.runner = subprocess.Popen(
            words,
            cwd=self.root,
            env=env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "runner").open("w"),
        )
        self.asked(foreign_packages(self.root))

    def asked(self, request: Request | list[str]) -> Any:
        assert self.runner.stdin is not None and self.runner.stdout is not None
        print(json.dumps(request), file=self.runner.stdin, flush=True)
        return json.loads(self.runner.stdout.readline())

    def run(self, tests: list[str]) -> Answer:
        limit_s = 30 + 3 * sum(self.chosen.seconds(test) for test in tests)
        return self.asked(Request(tests=tests, limit_s=limit_s, scratch=str(self.folder)))

    def write(self, path: Path, source: bytes) -> None:
        """With a time that no other source of the file had: compiled files go by it."""
        self.changes += 1
        path.write_bytes(source)
        os.utime(path, (self.changes, self.changes))

    @contextmanager
    def with_text(self, path: Path, source: bytes) -> Iterator[None]:
        before = path.read_bytes()
        self.write(path, source)
        try:
            yield
        finally:
            self.write(path, before)

    def outcome(self, mutation: Mutation) -> Outcome:
        """noticed (by which test), late, survived or untested."""
        batches = self.chosen.of(mutation)
        path = self.root / mutation.path
        faulty = mutation.applied(path.read_bytes())
        found: Outcome = {"outcome": "survived" if batches else "untested", "ran": 0, "test": ""}
        left_s = self.limit_s
        for batch in batches:
            tests = self.within(batch, self.limit_s if LIST in batch[0] else left_s)
            while tests:
                with self.with_text(path, faulty):
                    answer = self.run(tests)
                found["ran"] = int(found["ran"]) + answer["ran"]
                left_s -= answer["seconds"]
                if answer["status"] in (0, NO_TESTS):
                    break
                blamed = [answer["failed"]] if answer["failed"] else tests
                if self.is_sound(blamed):
                    late = answer["status"] == LATE
                    return found | {"outcome": "late" if late else "noticed", "test": blamed[0]}
                tests = [test for test in tests if test not in blamed]
        return found

    def within(self, batch: list[str], seconds: float) -> list[str]:
        """The first tests of a batch that are sound and fit into the time."""
        found = []
        for test in batch:
            seconds -= self.chosen.seconds(test)
            if seconds < 0:
                break
            if self.sound.get((test,), True):
                found.append(test)
        return found

    def is_sound(self, tests: list[str]) -> bool:
        """Whether the tests pass without a fault; each set of tests is tried once."""
        key = tuple(tests)
        if key not in self.sound:
            self.sound[key] = self.run(tests)["status"] == 0
        return self.sound[key]

    def close(self) -> None:
        assert self.runner.stdin is not None
        self.runner.stdin.close()
        self.runner.wait()


def wilson(noticed: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    share, z2 = noticed / count, Z**2 / count
    half = (z2 * (share * (1 - share) + z2 / 4)) ** 0.5
    return (share + z2 / 2 - half) / (1 + z2), (share + z2 / 2 + half) / (1 + z2)


def report(outcomes: list[Outcome]) -> None:
    """Shares by package, folder and in all, and the survivors."""
    rows: dict[str, list[bool]] = defaultdict(list)
    for one in outcomes:
        if one["outcome"] != "equivalent":
            package = Path(str(one["path"])).parent
            for name in {str(package), package.parts[0], "all"}:
                rows[name].append(one["outcome"] in ("noticed", "late"))
    table = Table("package", "faults", "noticed", "95 %")
    for name in sorted(rows):
        low, high = wilson(sum(rows[name]), len(rows[name]))
        share = f"{sum(rows[name]) / len(rows[name]):.0%}"
        table.add_row(name, str(len(rows[name])), share, f"{low:.0%} to {high:.0%}")
    console = Console(width=140)
    console.print(table)
    seconds = sum(float(one["seconds"]) for one in outcomes)
    late = sum(one["outcome"] == "late" for one in outcomes)
    listed = sum(LIST in str(one["test"]) for one in outcomes)
    console.print(
        f"{seconds:.0f} s of tests, {late} noticed by a time limit, {listed} by a list of chosen "
        "numbers alone"
    )
    for one in outcomes:
        if one["outcome"] not in ("noticed", "late"):
            print(f"{one['outcome']}: {one['path']}:{one['line']} {one['kind']}")
            print(f"    {one['before']}\n -> {one['text']}  {one.get('why', '')}")


def key_of(one: Outcome) -> tuple[str | int | float, ...]:
    return one["path"], one["before"], one["start"], one["text"]


def row_of(mutation: Mutation) -> Outcome:
    source = (ROOT / mutation.path).read_bytes()
    return asdict(mutation) | {"before": source[mutation.start : mutation.end].decode()}


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--count", type=int, default=150)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--only", nargs="*", default=[], help="beginnings of paths")
    words.add_argument("--limit", type=float, default=120.0, help="seconds of tests for one")
    words.add_argument("--workers", type=int, default=2)
    words.add_argument("--results", type=Path, help="file of results; one a seed by default")
    words.add_argument("--again", action="store_true", help="those that survived, once more")
    asked = words.parse_args()
    path = asked.results or ROOT / "runs" / f"mutants-{asked.seed}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    known = {key_of(one): one for one in rows}
    mutations = drawn(ROOT, asked.only, asked.count, asked.seed)
    passed = ("noticed", "late", "equivalent") if asked.again else OUTCOMES
    rows_of = {one: row_of(one) for one in mutations}
    todo = [
        one
        for one, row in rows_of.items()
        if known.get(key_of(row), {}).get("outcome") not in passed
    ]
    if not (KEPT / DATA).exists():
        raise SystemExit("no map of lines and tests: run `make cover` first")
    chosen = Chosen(ROOT, LineMap(ROOT))
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(asked.workers) as pool:
        free: Queue[Copy] = Queue()
        for name in range(min(asked.workers, len(todo))):
            own = Path(folder, str(name))
            own.mkdir()
            free.put(Copy(own, chosen, asked.limit))

        def tried(mutation: Mutation) -> Outcome:
            copy, began = free.get(), time.monotonic()
            try:
                found = copy.outcome(mutation)
            finally:
                free.put(copy)
            return rows_of[mutation] | found | {"seconds": round(time.monotonic() - began, 1)}

        for number, done in enumerate(as_completed([pool.submit(tried, m) for m in todo]), 1):
            one = done.result()
            known[key_of(one)] = one
            with path.open("a") as file:
                file.write(json.dumps(one) + "\n")
            rate = (time.monotonic() - start) / number
            where = f"{one['path']}:{one['line']} {one['kind']}"
            tests = f"{one['seconds']} s, {one['ran']} tests {one['test']}"
            print(f"{number}/{len(todo)} {rate:.1f} s each  {one['outcome']:<9} {where}  {tests}")
            sys.stdout.flush()
        while not free.empty():
            free.get().close()
    report([known[key] for key in map(key_of, rows_of.values()) if key in known])


if __name__ == "__main__":
    main()
