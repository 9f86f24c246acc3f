"""Notices of third parties: no package is left out, and one that states nothing is named."""

import re
import runpy
from importlib.metadata import requires
from pathlib import Path
from types import SimpleNamespace

import pytest

NOTICES = Path(__file__).parent.parent.parent / "deploy" / "notices.py"


@pytest.fixture(scope="module")
def notices():
    return runpy.run_path(str(NOTICES))


def test_everything_that_is_needed_stands_there_with_its_licence(notices, capsys):
    notices["main"]("exports,oidc")
    said, missing = capsys.readouterr()
    heads = re.findall(r"^={100}\n(.+)$", said, re.MULTILINE)
    packages = {head.partition(" ")[0].lower(): head for head in heads}
    direct = [line for line in requires("cytostream") if "extra" not in line]
    names = {re.match(r"[\w-]+", line)[0] for line in direct}
    assert len(names) > 20 and names - {"xstatic-leaflet"} <= packages.keys()
    assert {"pyarrow", "authlib", "requests", "urllib3", "starlette"} <= packages.keys()
    assert "pytest" not in packages and "cytostream" not in packages
    assert packages["numpy"].startswith("numpy 2") and "BSD-3-Clause" in packages["numpy"]
    lacking = set(re.findall(r"^(\S+): states no licence", missing, re.MULTILINE))
    unsaid = {name for name, head in packages.items() if head.endswith("states no licence")}
    assert {name.replace("_", "-") for name in unsaid} == lacking
    assert "Apache License" in said and "LGPL" in said  # texts, too


def test_the_page_and_the_models_have_theirs(notices, capsys):
    notices["main"]("")
    said = capsys.readouterr().out
    assert "Leaflet 1.9" in said and "(c) 2010-" in said and "BSD 2-Clause" in said
    assert "PBC CC BY 4.0" in said and "Chula-RBC-12 MIT" in said


class Package:
    """A package with this metadata and these files."""

    def __init__(self, *files, **about):
        self.metadata = SimpleNamespace(
            get=lambda name: about.get(name), get_all=lambda name: about.get("Classifier")
        )
        self.files = files


@pytest.mark.parametrize(
    ("about", "licence"),
    [
        ({"License-Expression": "MIT"}, "MIT"),
        ({"License": "BSD\nand its whole text"}, "BSD"),
        (
            {"License": "UNKNOWN", "Classifier": ["License :: OSI Approved :: MIT License"]},
            "MIT Li",
        ),
        ({"License": "UNKNOWN"}, ""),
        ({"Classifier": ["Topic :: Science"]}, ""),
        ({}, ""),
    ],
)
def test_what_a_package_says_of_its_licence(notices, about, licence):
    said = notices["licence_of"](Package(**about))
    assert said.startswith(licence) and bool(said) == bool(licence)
