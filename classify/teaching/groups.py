"""Which patient a cell is of, as far as the names of files say."""

import re
from collections.abc import Sequence
from pathlib import Path

PATIENT = re.compile(r"([A-Za-z]*\d+)[-_]")


def patients_of(paths: Sequence[Path], roots: Sequence[Path]) -> tuple[list[str], str]:
    """The patient of each file and how it is known: "name" (a prefix with a number, as p02-17.png),
    "folder" (a subfolder of its root) or "cell" (not known: each file is its own).

    A way that puts all files into one group tells nothing, and the next is taken.
    """
    prefixes = [PATIENT.match(path.stem) for path in paths]
    if all(prefixes):
        names = [match.group(1) for match in prefixes if match]
        if 1 < len(set(names)) < len(paths):
            return names, "name"
    folders = [subfolder_of(path, roots) for path in paths]
    if all(folders) and len(set(folders)) > 1:
        return folders, "folder"
    return [str(path) for path in paths], "cell"


def subfolder_of(path: Path, roots: Sequence[Path]) -> str:
    """The folder directly below a root that a file lies in; empty where it lies in a root."""
    for root in roots:
        if path.is_relative_to(root):
            parts = path.relative_to(root).parts
            return parts[0] if len(parts) > 1 else ""
    return ""
