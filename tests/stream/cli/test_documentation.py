"""Every command that README and the documentation show is run here: page by page, in the order in
which it stands, in a folder that has what the page names, by an engine that answers at once.

Broker, system of the laboratory and certificates are the tests' own. What is only parsed says why.
The tutorial is run as it stands, with the shipped model, by `test_readme`.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count
from urllib.request import urlopen

import numpy as np
import pytest
import tifffile
import trustme
from PIL import Image
from typer.testing import CliRunner

import stream.kafka
from classify import SHIPPED, calibration, engines, load_model
from classify.model_card import GRAPH, TABLES_FILE, save_tables, write_card
from stream.cli import session
from stream.cli.app import app, load_command
from stream.cli.command_table import COMMANDS
from stream.cli.commands.model import models
from stream.config import Config
from stream.identity import Claim, Identity
from stream.kafka import read_all
from stream.review import SlideLibrary
from stream.review.decisions import DecisionService
from tests.ingest.test_specimen_codes import write_svs
from tests.make import BrightnessEngine, smear
from tests.stores import STAMP, Filled
from tests.stream.cli.conftest import AnyEngine
from tests.test_readme import DOCS, README, TUTORIAL, blocks, commands_in

PAGES = {path.name: path for path in (README, *DOCS) if path != TUTORIAL and commands_in(path)}
PARSED = {
    "evaluate --suite": "takes three hours, and images that are not kept here",
    "--engine torch-cuda": "needs a GPU",
    "compile --out": "needs TensorRT; the CPU's engine is compiled by its first run",
}
ENDS = {"watch": ["--once"], "lis": ["--once"]}  # else they go on until Ctrl-C
BEFORE = {  # what a page takes for done
    "README.md": ["run smear.svs --store results", "index cells --out known.npz"],
}
ASKED = {"accounts": "correct horse battery\n" * 2, "patient": "y\n"}
WHOSE = Identity("S26-00117", patient_id="P-1070")
ENVIRONMENT = {
    "CYTOSTREAM_READING__WORKERS": "0",
    "CYTOSTREAM_KAFKA__LINGER_MS": "0",
    "CYTOSTREAM_READING__RED_CELL_UM": "0",  # the drawn red cells are of one size
    "CYTOSTREAM_WATCH__LOOK_S": "0.05",
}


def cells_folder(folder, rng, kinds):
    """Cell images of eight patients, `kinds` of each: name and brightness."""
    folder.mkdir()
    for patient in range(8):
        for name, light in kinds.items():
            crop = rng.integers(light, light + 60, (128, 128, 3), dtype=np.uint8)
            Image.fromarray(crop).save(folder / f"p{patient}-{name}.png")


def reviewed_store(folder, rng):
    """A signed slide of a known specimen, whose twelve cells of one kind a person called so; gives
    the id of one.
    """
    made = Filled(folder / "results", name="other.tiff")
    made.model_id = load_model().model_id
    plain, drawn, numbers = made._verdict, made._cell, count()
    kind = rng.normal(size=len(plain(False).features)) * 3

    def of_its_own():
        cell = drawn()
        crop = cell.crop.copy()
        crop[0, 0] = (*divmod(next(numbers), 256), 0)
        return replace(cell, crop=crop)

    def alike(odd):
        verdict = plain(odd)
        verdict.features[:] += kind.astype(np.float16)
        return verdict

    made._cell, made._verdict = of_its_own, alike
    hairy = made.add(12)
    made._verdict = plain
    made.add(60)
    made.done()
    with made.outbox.transaction() as tx:
        stated = [Claim("name", WHOSE)]
        tx.set_claims(made.slide.slide_id, "name", "", stated)
    made.close()
    with SlideLibrary(
        folder / "results", Config(review={"classes": ["hairy-cell"]}), folder / "custody"
    ) as library:
        desk = DecisionService(library, STAMP)
        name = made.slide.slide_id
        desk.decide(name, "ada", "reclassify", hairy, "hairy-cell", 0)
        whose = library.identity_digest(name, WHOSE)
        desk.sign(name, "ada", "hairy cells", library.trail.last(name), whose)
    return hairy[0]


def new_model(folder):
    """The shipped model with another bias, as a zip file."""
    made = folder / "new-model"
    made.mkdir()
    (made / GRAPH).hardlink_to(SHIPPED / GRAPH)
    model = load_model()
    with np.load(SHIPPED / TABLES_FILE) as tables:
        save_tables(made, {**dict(tables), "bias": model.bias + 1})
    facts = model.card.model_dump(exclude={"sha256"})
    data = {**model.card.data, "calibration": "made before"}
    write_card(made, {**facts, "name": "new", "data": data})
    shutil.make_archive(str(made), "zip", made)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    """What the pages name, made once; each page has a copy. Gives the folder and a cell's id."""
    folder = tmp_path_factory.mktemp("laboratory")
    rng = np.random.default_rng(0)
    smear(folder / "smear.tiff", side_px=500, whites=2, seed=3)
    shown = tifffile.imread(folder / "smear.tiff")
    write_svs(folder / "smear.svs", shown)
    Image.fromarray(shown).save(folder / "field.png")
    for scans in (folder / "scans", folder / "scans" / "monday"):
        scans.mkdir()
        shutil.copy(folder / "smear.svs", scans)
    cells_folder(folder / "cells", rng, {"a": 60, "b": 120})
    cells_folder(folder / "hairy", rng, {"h": 20})
    cells_folder(folder / "normal", rng, {str(n): 60 + 10 * n for n in range(8)})
    cells_folder(folder / "normal-cells", rng, {str(n): 60 + 10 * n for n in range(10)})
    cell = reviewed_store(folder, rng)
    new_model(folder)
    (folder / "worklist.csv").write_text(f"accession,container\n{WHOSE.accession},C-78\n")
    (folder / "lab.toml").write_text("[lis]\nlisten = '127.0.0.1:0'\n")
    authority = trustme.CA()
    page = authority.issue_cert("localhost", "127.0.0.1")
    page.private_key_pem.write_to_path(folder / "page.key")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    page.cert_chain_pems[0].write_to_path(folder / "page.pem")
    return folder, cell


@pytest.fixture
def quick_engines(monkeypatch):
    """Every module that opens an engine gets one that answers at once."""
    real = engines.open_engine

    def quicken():
        for module in list(sys.modules.values()):
            if getattr(module, "open_engine", None) is real:
                monkeypatch.setattr(module, "open_engine", lambda *_, **__: AnyEngine())

    for name in ("admit_model", "verify_model"):
        at_once = partial(getattr(models, name), open_it=engine_of)
        monkeypatch.setattr(models, name, at_once)
    return quicken


def engine_of(model, *_):
    return BrightnessEngine(len(model.card.classes))


def copied(_model, _engine, _cells, out, *_):
    """In place of a calibration, which takes 20 s: a model that was made before."""
    shutil.copytree("new-model", out)
    return load_model(out)


def words_of(line, cell):
    """A command as it is run: the page's examples of names are the folder's."""
    names = {"CELL": cell, "127.0.0.1:8080": "127.0.0.1:0"}
    words = [names.get(word, word.removeprefix("/")) for word in shlex.split(line)]
    return words + ENDS.get(words[0], [])


def opened_and_stopped(port):
    """Waits for the page at a port, opens it over TLS where it has a certificate, and presses
    Ctrl-C; what came is put into the list that is given back.
    """
    came = []
    trusting = ssl.create_default_context(cafile="authority.pem")

    def look():
        while not came:  # until the page is up; the test has a time limit
            for scheme in ("http", "https"):
                with suppress(OSError):
                    address = f"{scheme}://127.0.0.1:{port}/static/app.css"
                    with urlopen(address, timeout=20, context=trusting) as answer:
                        came.append(answer.status)
                        break
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=look, daemon=True).start()
    return came


def serving(words):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    came = opened_and_stopped(port)
    done = CliRunner().invoke(app, [*words, "--port", str(port)])
    assert came == [200]
    return done


@pytest.fixture
def typed(laboratory, quick_engines, session_broker, tmp_path, monkeypatch):
    """Runs a command as a page shows it, in a copy of the laboratory."""
    made, cell = laboratory
    folder = tmp_path / "here"
    shutil.copytree(made, folder)
    (folder / "results").chmod(0o700)
    monkeypatch.chdir(folder)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CYTOSTREAM_BOOTSTRAP", session_broker.bootstrap)
    monkeypatch.setenv("CYTOSTREAM_REVIEW__AUDIT_FOLDER", str(folder / "custody"))
    monkeypatch.setattr(calibration, "recalibrate", copied)
    monkeypatch.setattr(session, "open_red_judge", lambda *_: None)
    ends = lambda settings, topics, _: read_all(settings, topics)  # noqa: E731
    monkeypatch.setattr(stream.kafka, "follow", ends)  # which goes on until Ctrl-C
    was = signal.signal(signal.SIGINT, signal.default_int_handler)

    def typed(line):
        words = words_of(line, cell)
        load_command(words[0]) if words[0] in COMMANDS else None
        quick_engines()
        if words[0] == "serve":
            return serving(words)
        return CliRunner().invoke(app, words, input=ASKED.get(words[0], ""))

    yield typed
    signal.signal(signal.SIGINT, was or signal.SIG_DFL)


@pytest.mark.broker
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page(page, typed):
    for line in [*BEFORE.get(page, ()), *(text[11:] for text in commands_in(PAGES[page]))]:
        if not any(part in line for part in PARSED):
            done = typed(line)
            assert done.exit_code == 0, f"{line}: {done.exception!r} {done.output}"


def test_what_is_only_parsed_is_shown_somewhere():
    shown = "\n".join(blocks(path) for path in PAGES.values())
    assert all(part in shown for part in PARSED)
    assert len(re.findall("^cytostream ", shown, re.MULTILINE)) > 50
