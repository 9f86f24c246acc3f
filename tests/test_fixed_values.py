"""The numbers and switches of the product that stand outside of functions, a text a package: a
change of one is to be meant, and read by a person.
"""

from importlib import import_module
from pathlib import Path

import pytest

from tests.approved import approved
from tests.fixed_values import fixed_values

ROOT = Path(__file__).parents[1]
FOLDERS = ("ingest", "segment", "classify", "stream")
PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("__init__.py")
)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_values_are_those_that_were_chosen(package):
    files = sorted((ROOT / package.replace(".", "/")).glob("*.py"))
    names = [f"{package}.{path.stem}" for path in files if not path.stem.startswith("__")]
    try:
        modules = [import_module(name) for name in names]
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in FOLDERS:
            raise
        pytest.skip(f"{error.name} is not installed")
    approved(__file__, f"fixed-values-{package}", fixed_values(*modules))
