"""Whole outputs that a person has read and found right, each kept in a text file beside its test.

`make approved` writes them anew, for a person to read in the diff. What differs from run to run
(times, random ids, paths) has a name of its own in the text, so that the same id is the same name.
"""

import io
import json
import os
import re
from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from PIL import Image

WIDTH = 200
WRITES = "CYTOSTREAM_APPROVE"
FLOAT = re.compile(r"(?<![\w.:])-?\d+\.\d{5,}(?:e-?\d+)?(?![\w.])")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d| UTC)?")
CHANGING = (
    (TIME, "time"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b|\d{4}-\d\d-\d\dT\d{6}\.\d+Z"), "time"),
    (re.compile(r"\b20[2-9]\d{11}[+-]\d{4}\b"), "time"),  # of HL7
    (re.compile(r"\b20[2-9]\d-\d\d-\d\d( \d\d:\d\d)?\b"), "date"),
    (re.compile(r"\b\d\d\.\d\d\.\d{4}( \d\d:\d\d)?\b"), "date"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "id"),
    (re.compile(r"(?<![.0-9a-f])[0-9a-f]{16,}(?![0-9a-f])"), "id"),
)


def approved(test: str, name: str, text: str, **names: object) -> None:
    """Compares a text with what was approved. `test`: the `__file__` of the test; `names`: what
    stands for a value of this run, as `store="/tmp/x"`, which the text then has as <store>.
    """
    path = Path(test).parent / "approved" / f"{name}.txt"
    text = settled(text, names)
    if os.environ.get(WRITES):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    known = path.read_text() if path.exists() else ""
    differs = "\n".join(unified_diff(known.splitlines(), text.splitlines(), lineterm="", n=1))
    assert not differs, f"{path}: read what differs; `make approved` takes it over\n{differs}"


def settled(text: str, names: Mapping[str, object]) -> str:
    """The text without what differs from run to run, and without the last digits of numbers."""
    for name, value in sorted(names.items(), key=lambda item: -len(str(item[1]))):
        text = text.replace(str(value), f"<{name}>")
    numbers: dict[str, str] = {}

    def numbered(kind: str, found: str) -> str:
        return numbers.setdefault(found, f"<{kind} {len(numbers) + 1}>")

    text = FLOAT.sub(lambda match: f"{float(match[0]):.4g}", text)
    for pattern, kind in CHANGING:
        if kind == "id":
            text = pattern.sub(lambda match: numbered("id", match[0]), text)
        else:
            text = pattern.sub(f"<{kind}>", text)
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n"


def laid_out(value: Any, indent: int = 0) -> str:
    """JSON with a line for each thing that fits into one."""
    line = TIME.sub("<time>", json.dumps(value, ensure_ascii=False))
    line = FLOAT.sub(lambda match: f"{float(match[0]):.4g}", line)
    if len(line) + indent <= WIDTH or not isinstance(value, dict | list) or not value:
        return line
    inner, space = indent + 1, " " * indent
    if isinstance(value, dict):
        parts = [
            f"{space} {json.dumps(name, ensure_ascii=False)}: {laid_out(one, inner)}"
            for name, one in value.items()
        ]
        return "{\n" + ",\n".join(parts) + f"\n{space}}}"
    if not any(isinstance(one, dict | list) for one in value):
        return wrapped(line, space)
    parts = [f"{space} {laid_out(one, inner)}" for one in value]
    return "[\n" + ",\n".join(parts) + f"\n{space}]"


def wrapped(line: str, space: str) -> str:
    """A list of plain values over several lines."""
    return fill(line, WIDTH, subsequent_indent=f"{space} ", break_long_words=False)


def picture(data: bytes) -> str:
    """What a small picture shows, as far as other versions of a decoder show it, too."""
    with Image.open(io.BytesIO(data)) as image:
        colours = np.asarray(image.convert("RGB")).mean(axis=(0, 1))
        mean = [round(value / 4) * 4 for value in colours]
        return f"{image.format} {image.size[0]} x {image.size[1]}, mean colour about {mean}"
