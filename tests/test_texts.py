"""Texts that people read name things in the words of the field: no private metaphors."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WORDS = re.compile(
    r"\b(odd|odder|oddest|oddity|oddities|oddness|shelf|shelves|rooms|furniture|house|parcels?|"
    r"told of|speaks|spoke|spoken)\b"
)
NAMES = re.compile(r"`[^`]*`|\$\.\w+|\"\w+\"")  # identifiers and keys are no prose
CODE = ["ingest/*.py", "segment/*.py", "classify/*.py", "stream/*.py"]
DOCUMENTS = ["*.md", "configs/*.toml", "stream/review/web/templates/*.html"]


def listed(patterns):
    said = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in said.stdout.splitlines() if not name.startswith("tests/")]


def found_in(text):
    return WORDS.findall(NAMES.sub("", text))


@pytest.mark.parametrize("name", listed(CODE))
def test_docstrings_and_messages_have_no_metaphors(name):
    tree = ast.parse((ROOT / name).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            assert not found_in(node.value), f"{name}:{node.lineno}"


@pytest.mark.parametrize("name", listed(DOCUMENTS))
def test_documents_have_no_metaphors(name):
    for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
        assert not found_in(re.sub(r"<[^>]*>", "", line)), f"{name}:{number}"
