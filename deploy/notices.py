"""Writes the notices of third parties: every package that an installation runs with, its licence
and the texts that come with it; the JavaScript of the page; the data behind the models.

    python deploy/notices.py [EXTRAS] > THIRD-PARTY-NOTICES.txt

Names on stderr the packages that state no licence, or bring no text; those the reader looks up.
"""

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = "cytostream"
EXTRAS = "exports,lis,metrics,oidc"
MODELS = Path(__file__).parent.parent / "classify" / "model"
RULE = "=" * 100
_TEXT = re.compile(r"(licen[cs]e|copying|copyright|notice|authors)[^/]*$", re.IGNORECASE)
LEAFLET_LICENCE = """BSD 2-Clause License

Redistribution and use in source and binary forms, with or without modification, are permitted
provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of conditions
   and the following disclaimer.

2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions
   and the following disclaimer in the documentation and/or other materials provided with the
   distribution.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR
IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND
FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR
CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE,
DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER
IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF
THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE."""


def run_time(extras: set[str]) -> dict[str, Distribution | None]:
    """Every package that the project needs here, with what those need; None where one is not
    installed.
    """
    found: dict[str, Distribution | None] = {}
    waiting = [(PROJECT, frozenset(extras))]
    seen = set(waiting)
    while waiting:
        name, wanted = waiting.pop()
        try:
            one = distribution(name)
        except PackageNotFoundError:
            found[name] = None
            continue
        if name != PROJECT:
            found[name] = one
        for line in one.requires or ():
            need = Requirement(line)
            if need.marker is None or any(
                need.marker.evaluate({"extra": extra}) for extra in (*wanted, "")
            ):
                entry = (re.sub(r"[-_.]+", "-", need.name).lower(), frozenset(need.extras))
                if entry not in seen:
                    seen.add(entry)
                    waiting.append(entry)
    return dict(sorted(found.items()))


def licence_of(one: Distribution) -> str:
    """What a package says that its licence is, in one line; empty where it says nothing."""
    about = one.metadata
    if expression := about.get("License-Expression"):
        return expression.strip()
    first = (about.get("License") or "").strip().partition("\n")[0].strip()
    if first and first.upper() != "UNKNOWN":
        return first
    lines = [line for line in about.get_all("Classifier") or () if line.startswith("License ::")]
    return "; ".join(line.rpartition("::")[2].strip() for line in lines)


def texts_of(one: Distribution) -> dict[str, str]:
    """The texts of licences in a package, by their place in it."""
    paths = [path for path in one.files or () if _is_text(str(path))]
    return {str(path): path.read_binary().decode(errors="replace") for path in paths}


def _is_text(path: str) -> bool:
    in_metadata = ".dist-info/" in path
    return in_metadata and ("/licenses/" in path or bool(_TEXT.search(path)))


def of_packages(extras: set[str]) -> Iterator[str]:
    """A section a package; those that lack something are named on stderr."""
    for name, one in run_time(extras).items():
        if one is None:
            print(f"{name}: not installed here", file=sys.stderr)
            continue
        licence = licence_of(one)
        texts = texts_of(one)
        if not licence:
            print(f"{name}: states no licence", file=sys.stderr)
        if not texts:
            print(f"{name}: brings no text of its licence", file=sys.stderr)
        yield RULE
        yield f"{one.metadata['Name']} {one.version}: {licence or 'states no licence'}"
        yield from (f"\n--- {path}\n\n{text.rstrip()}" for path, text in texts.items())


def of_scripts() -> Iterator[str]:
    """The JavaScript of others that the page loads."""
    spec = find_spec("xstatic.pkg.leaflet")
    if spec is None or spec.origin is None:
        print("leaflet: not installed here", file=sys.stderr)
        return
    script = (Path(spec.origin).parent / "data" / "leaflet.js").read_text(encoding="utf-8")
    lines = script.partition("*/")[0].splitlines()
    head = [line.strip(" /*") for line in lines if line.strip(" /*@")]
    yield RULE
    yield "\n".join(["JavaScript in the page: Leaflet", *head[1:], "", LEAFLET_LICENCE])


def of_models() -> Iterator[str]:
    """The data that the shipped models were trained on."""
    for path in sorted(MODELS.rglob("card.json")):
        card = json.loads(path.read_text())
        yield RULE
        yield f"Data behind the model {card['name']}"
        yield from (f"{key}: {card['data'][key]}" for key in ("name", "licence", "source"))


def main(extras: str = EXTRAS) -> None:
    """Writes all of it to stdout."""
    named = {extra for extra in extras.split(",") if extra}
    for lines in (of_packages(named), of_scripts(), of_models()):
        for line in lines:
            print(line)


if __name__ == "__main__":
    main(*sys.argv[1:2])
