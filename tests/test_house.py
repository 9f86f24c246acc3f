"""The rules of the house, read off the source."""

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = ["ingest", "segment", "classify", "stream"]
OWNERS = {
    "openslide": {"ingest"},
    "dask": {"ingest"},
    "distributed": {"ingest"},
    "zarr": {"stream"},
    "tifffile": {"ingest"},
    "skimage": {"segment"},
    "torch": {"classify"},
    "openvino": {"classify"},
    "onnx": {"classify"},
    "tensorrt": {"classify"},
    "tensorrt_rtx": {"classify"},
    "cuda": {"classify"},
    "kafka": {"stream"},
    "fastapi": {"stream"},
    "starlette": {"stream"},
    "prometheus_client": {"stream"},
}
FORBIDDEN_NAMES = {"core", "common", "types", "utils", "helpers", "base"}


def modules():
    return [p for folder in ORDER for p in sorted((ROOT / folder).rglob("*.py"))]


def imports(path):
    """(level, module) of every import, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((node.level, name) for name in names)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    mine = path.relative_to(ROOT).parts[0]
    for level, name in imports(path):
        top = name.split(".")[0]
        if level == 0 and top in ORDER:
            assert name != mine, (
                f"{path}: inside a folder by module, never through its own front door"
            )
            assert ORDER.index(top) <= ORDER.index(mine), f"{path} turns back to {name}"
        assert mine in OWNERS.get(top, {mine}) or level, (
            f"{path} imports {top}, owned by {OWNERS.get(top)}"
        )


def test_no_module_has_a_name_that_says_nothing():
    assert not {path.stem for path in modules()} & FORBIDDEN_NAMES


def test_the_serving_path_loads_no_torch_and_no_engine():
    heavy = {"torch", "onnx", "openvino", "tensorrt", "tensorrt_rtx", "cuda"}
    code = f"import sys, stream.cli; print(sorted({heavy} & set(sys.modules)))"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_no_foreign_package_stands_in_for_ours():
    for name in ORDER:
        assert Path(find_spec(name).origin).parent == ROOT / name
