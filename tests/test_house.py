"""The rules of this code base, read off the source: who imports whom, and how large a folder is."""

import ast
import re
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

from tests.tools.house_figures import figures, names_in_two_modules

ROOT = Path(__file__).parent.parent
FOLDERS = ["ingest", "segment", "classify", "stream"]
# From below to above: a part may import the parts of the sets before its own, in its own folder.
ORDER = {
    "": [{name} for name in FOLDERS],
    "ingest": [
        {
            "dicom_header",
            "errors",
            "failure",
            "part_lists",
            "scale",
            "scan_time",
            "slide_files",
            "specimen_codes",
        },
        {"pages"},
        {"slide"},
        {"readers", "workers", "folder_look", "deep_zoom"},
        {"survey", "folder_watch"},
        {"tiles", "smear_map"},
        {"seams"},
        {"synthetic"},
    ],
    "classify": [
        {"verdict", "errors", "pixels", "elimination", "network", "encoder"},
        {"model_card", "image_folder"},
        {"engines", "anomaly", "cell_size", "model_library"},
        {"rule"},
        {"model_check"},
        {"judge"},
        {"calibration", "explain", "teaching"},
        {"training"},
        {"evaluation"},
        {"benchmark"},
    ],
    "stream": [
        {"events"},
        {"identity"},
        {"config"},
        {"alerts", "store", "http"},
        {"sinks", "run", "intake", "monitoring", "oauth"},
        {"kafka", "review"},
        {"keeping", "lis"},
        {"cli"},
    ],
    "stream.review": [
        {"cell_classes", "detections", "seen_area", "texts"},
        {"red_cells"},
        {"review_state", "differential", "images", "custody"},
        {"audit_trail", "verification"},
        {"slides", "alert_list", "signed_counts", "store_lessons"},
        {"versions", "compare", "models", "signed_heads"},
        {"decisions", "worklist", "audit_check", "report"},
        {"web"},
    ],
}
# Where a third party may be imported.
OWNERS = {
    "aiohttp": {"stream.store"},
    "anndata": {"stream.review.report"},
    "argon2": {"stream.review.web"},
    "authlib": {"stream.oauth"},
    "botocore": {"stream.store"},
    "cloudevents": {"stream.events"},
    "cuda": {"classify.engines"},
    "dask": {"ingest"},
    "distributed": {"ingest"},
    "fastapi": {"stream.review.web", "stream.intake"},
    "fhir": set(),  # tests alone validate with it
    "fpdf": {"stream.review.report"},
    "highdicom": {"stream.review.report"},
    "hl7apy": {"stream.lis"},
    "joserfc": {"stream.oauth"},
    "kafka": {"stream.kafka"},
    "matplotlib": {"classify.evaluation"},
    "onnx": {"classify.engines", "classify.training"},
    "openslide": {"ingest"},
    "openvino": {"classify.engines"},
    "prometheus_client": {"stream.monitoring"},
    "psutil": {"stream.store"},
    "psycopg": {"stream.store"},
    "requests": {"stream.oauth"},
    "rich": {"stream.cli"},
    "s3fs": {"stream.store"},
    "skimage": {"segment"},
    "pydicom": {"stream.review.report"},
    "sqlalchemy": {"stream.store"},
    "sqlite3": {"stream.store"},
    "starlette": {"stream.review.web", "stream.http", "stream.intake", "stream.monitoring"},
    "tensorrt": {"classify.engines"},
    "tensorrt_rtx": {"classify.engines"},
    "tifffile": {"ingest"},
    "torch": {
        "classify.encoder",
        "classify.network",
        "classify.engines",
        "classify.training",
        "classify.evaluation",
        "classify.benchmark",
    },
    "typer": {"stream.cli"},
    "zarr": {"stream.store"},
}
# Front doors of their own, loaded when they are asked for: torch, onnx, and every command.
OPENED_LATE = (
    "classify.engines.channel_statistics",
    "classify.engines.graph_check",
    "classify.engines.onnx_lowering",
    "classify.engines.torch",
    "classify.engines.torch_cuda",
    "stream.cli.commands",
)
VAGUE_NAMES = {"core", "common", "utils", "helpers", "base", "misc"}
MOST_MODULES = 17
# Of what `python -m tests.tools.house_figures` counts.
UPPER_LIMITS = {
    "modules a folder, most": MOST_MODULES,
    "lines over 100 columns": 0,
    "tuple assignments a 1,000 code lines": 1.0,
}
SQL = re.compile(r"\b(SELECT|INSERT (OR|INTO)|DELETE FROM|UPDATE \w+ SET|CREATE TABLE|PRAGMA)\b")


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {name_of(p): p for folder in FOLDERS for p in sorted((ROOT / folder).rglob("*.py"))}
PACKAGES = {name for name, path in PATHS.items() if path.stem == "__init__"}


def package_of(module):
    return module if module in PACKAGES else module.rpartition(".")[0]


@cache
def tree_of(module):
    return ast.parse(PATHS[module].read_text())


@cache
def imports(module):
    """The full name of every module that is imported, inside functions too."""
    return list(_imports(module))


def _imports(module):
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package_of(module).split(".")
            start = parents[: len(parents) - node.level + 1] if node.level else []
            name = ".".join([*start, *([node.module] if node.module else [])])
            parts = [f"{name}.{alias.name}" for alias in node.names]
            yield from (part if node.module is None and part in PATHS else name for part in parts)


def inside(name, folder):
    return not folder or name == folder or name.startswith(f"{folder}.")


def part_of(name, folder):
    return name.removeprefix(f"{folder}." if folder else "").split(".")[0]


every_module = pytest.mark.parametrize("module", PATHS)


@every_module
def test_imports_go_one_way(module):
    for name in {name for name in imports(module) if name in PATHS}:
        for folder, floors in ORDER.items():
            if {module, name} & {folder} or not (inside(module, folder) and inside(name, folder)):
                continue
            mine, other = (
                next(i for i, floor in enumerate(floors) if part_of(x, folder) in floor)
                for x in (module, name)
            )
            same = part_of(module, folder) == part_of(name, folder)
            flat = other == mine and not {f"{folder}.{p}" for p in floors[mine]} & PACKAGES
            assert same or other < mine or (folder and flat), f"{module} imports {name}"


@every_module
def test_a_package_is_known_by_its_front_door(module):
    own = package_of(module)
    for name in {name for name in imports(module) if name in PATHS}:
        assert name != own or module in PACKAGES, f"{module} imports its own front door"
        at_hand = package_of(name) and inside(own, package_of(name))
        late = any(inside(name, opened) for opened in OPENED_LATE)
        assert name in PACKAGES or at_hand or late, f"{module} imports {name}"


@every_module
def test_a_third_party_has_an_owner(module):
    for name in imports(module):
        owners = OWNERS.get(name.split(".")[0])
        assert not owners or any(inside(module, owner) for owner in owners), f"{module}: {name}"


@every_module
def test_sql_stands_in_the_store_alone(module):
    texts = [
        node.value
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    if not inside(module, "stream.store"):
        assert not [text for text in texts if SQL.search(text)], module


def test_tests_import_absolutely():
    relative = re.compile(r"^\s*from \.", re.MULTILINE)
    paths = sorted(Path(__file__).parent.rglob("*.py"))
    assert [str(path) for path in paths if relative.search(path.read_text())] == []


def test_folders_and_modules_stay_small():
    for package in PACKAGES:
        modules = [m for m in PATHS if m not in PACKAGES and package_of(m) == package]
        assert len(modules) <= MOST_MODULES, f"{package} has {len(modules)} modules"
    for module in PATHS:
        assert module.rpartition(".")[2] not in VAGUE_NAMES, module


def test_a_public_name_is_defined_once():
    modules = {PATHS[name]: tree_of(name) for name in PATHS if name not in PACKAGES}
    assert names_in_two_modules(modules) == {}


def test_the_figures_of_the_code_stay_low():
    found = figures(ROOT)
    assert {name: found[name] for name in UPPER_LIMITS if found[name] > UPPER_LIMITS[name]} == {}


def test_the_order_names_everything_once():
    for folder, floors in ORDER.items():
        parts = {part_of(m, folder) for m in PATHS if inside(m, folder) and m != folder}
        assert parts - {"__main__"} == set().union(*floors), folder
        assert all(not below & above for below, above in pairwise(floors))


def test_the_serving_path_loads_no_torch_and_no_engine():
    heavy = {"torch", "onnx", "openvino", "tensorrt", "tensorrt_rtx", "cuda"}
    code = f"import sys, stream.cli; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_no_foreign_package_stands_in_for_ours():
    for name in FOLDERS:
        assert Path(find_spec(name).origin).parent == ROOT / name
