"""The cache of compiled engines: what a plan is found by, and that no process ever reads half of
one.
"""

import multiprocessing
import os
import signal
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from hashlib import sha256
from time import sleep

import pytest

from classify import EngineError
from classify.engines.plan_cache import BrokenPlanError, PlanKey, PlanStore, read_plan

KEY = PlanKey("a" * 64, "tensorrt-rtx 1.7.1.116", "NVIDIA RTX 4090 sm_89", "f16", 64, "errors")
SPAWN = multiprocessing.get_context("spawn")


class Builder:
    def __init__(self, plan=b"plan\nof two lines"):
        self.plan, self.builds = plan, 0

    def __call__(self):
        self.builds += 1
        return self.plan


@pytest.fixture
def told():
    return []


@pytest.fixture
def store(tmp_path, told):
    return PlanStore(tmp_path / "plans", tell=told.append)


def test_built_once(store, told):
    build = Builder()
    assert store.get(KEY, build) == store.get(KEY, build) == build.plan
    assert build.builds == 1 and not told


@pytest.mark.parametrize("name", [f.name for f in fields(PlanKey)])
def test_every_part_of_the_key_counts(store, name):
    other = getattr(KEY, name)
    changed = replace(KEY, **{name: other + 1 if isinstance(other, int) else "b" + other})
    build = Builder()
    store.get(KEY, build), store.get(changed, build)
    assert build.builds == 2


def test_a_key_makes_a_plain_file_name():
    assert (
        KEY.file_name
        == "aaaaaaaaaaaa-tensorrt-rtx_1.7.1.116-NVIDIA_RTX_4090_sm_89-f16-b64-errors.plan"
    )


def test_a_plan_that_was_kept_before_is_found_again(store, told):
    """A laboratory waits minutes for an engine once, not after each update."""
    store.folder.mkdir()
    kept = (
        b'{"model": "' + b"a" * 64 + b'", "library": "tensorrt-rtx 1.7.1.116", '
        b'"target": "NVIDIA RTX 4090 sm_89", "precision": "f16", "batch": 64, '
        b'"output": "errors", "recipe": 2, '
        b'"sha256": "' + sha256(b"plan").hexdigest().encode() + b'"}\nplan'
    )
    (store.folder / KEY.file_name).write_bytes(kept)
    assert store.get(KEY, lambda: pytest.fail("built again")) == b"plan" and not told


@pytest.mark.parametrize(
    "spoil",
    [
        lambda b: b[:-1],
        lambda b: b[: len(b) // 3],
        lambda b: b"",
        lambda b: b[:-1] + b"?",
        lambda b: b.replace(b"f16", b"f32"),
    ],
    ids=["cut", "cut in the header", "empty", "changed", "another key's"],
)
def test_a_broken_file_is_built_again_with_one_line(store, told, spoil):
    build = Builder()
    store.get(KEY, build)
    path = store.folder / KEY.file_name
    path.write_bytes(spoil(path.read_bytes()))
    assert store.get(KEY, build) == build.plan and build.builds == 2
    assert len(told) == 1 and "broken engine" in told[0] and "building it again" in told[0]
    assert store.get(KEY, build) == build.plan and build.builds == 2


def test_a_failed_build_leaves_nothing(store):
    def fail():
        raise EngineError("cannot build")

    with pytest.raises(EngineError, match="cannot build"):
        store.get(KEY, fail)
    assert [p.suffix for p in store.folder.iterdir()] == [".lock"]
    assert store.get(KEY, Builder()) == Builder().plan


def test_a_failed_write_leaves_nothing(store, monkeypatch):
    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EngineError, match="No space left"):
        store.get(KEY, Builder())
    assert [p.suffix for p in store.folder.iterdir()] == [".lock"]


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="no engine can be kept here") as caught:
        PlanStore(tmp_path / "file" / "plans").get(KEY, Builder())
    assert "writable" in caught.value.hint


def test_a_plan_that_came_with_the_model(tmp_path, store):
    store.get(KEY, Builder(b"shipped"))
    other, build = PlanStore(tmp_path / "other", (store.folder,)), Builder()
    assert other.get(KEY, build) == b"shipped" and build.builds == 0
    assert not other.folder.exists()


def slow_build(mark, wait_s):
    with mark.open("a") as file:
        file.write("built\n")
    sleep(wait_s)
    return b"slow" * 100_000


def get_slowly(folder, mark, wait_s):
    return PlanStore(folder).get(KEY, partial(slow_build, mark, wait_s))[:4]


@contextmanager
def building(folder, mark, wait_s):
    """Another process, in the middle of a build."""
    child = SPAWN.Process(target=get_slowly, args=(folder, mark, wait_s))
    child.start()
    while not mark.exists():
        sleep(0.02)
    yield child
    child.join()


def test_two_processes_at_once_build_once(tmp_path):
    folder, mark = tmp_path / "plans", tmp_path / "mark"
    with building(folder, mark, 0.5) as child:
        assert get_slowly(folder, mark, 0) == b"slow"
    assert mark.read_text() == "built\n" and child.exitcode == 0


def test_a_killed_builder_is_in_nobodys_way(tmp_path):
    folder, mark = tmp_path / "plans", tmp_path / "mark"
    with building(folder, mark, 60) as child:
        os.kill(child.pid, signal.SIGKILL)
    assert get_slowly(folder, mark, 0) == b"slow"


def test_kernels_are_kept_beside_their_plan(store, tmp_path):
    assert store.kernels("b64 GPU/1") == b""
    store.keep_kernels("b64 GPU/1", b"first")
    assert [path.name for path in store.folder.iterdir()] == ["b64_GPU_1.kernels"]
    path = store.folder / "b64_GPU_1.kernels"
    before = path.stat().st_ino
    store.keep_kernels("b64 GPU/1", b"first")
    assert path.stat().st_ino == before, "the same are not written again"
    store.keep_kernels("b64 GPU/1", b"second")
    assert store.kernels("b64 GPU/1") == path.read_bytes() == b"second"
    (tmp_path / "file").touch()
    none = PlanStore(tmp_path / "file" / "plans")
    none.keep_kernels("b64", b"first")
    assert none.kernels("b64") == b""


def test_what_a_plan_s_file_says(store):
    store.get(KEY, Builder())
    path = store.folder / KEY.file_name
    assert read_plan(path, KEY) == Builder().plan
    path.write_bytes(b"no header\nplan")
    with pytest.raises(BrokenPlanError, match="^no header$"):
        read_plan(path, KEY)
    with pytest.raises(FileNotFoundError):
        read_plan(path.with_name("none"), KEY)


def test_a_plan_that_the_library_refuses_is_built_anew(store, told):
    store.get(KEY, Builder())
    assert store.rebuilt(KEY, Builder(b"new")) == b"new"
    assert store.get(KEY, Builder()) == b"new"
