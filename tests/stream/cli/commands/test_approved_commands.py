"""What each command that reads a store says of a small one, whole."""

import json
import re
from pathlib import Path
from shutil import copytree

import pytest
from typer.testing import CliRunner

from classify import SHORT_NAMES, read_card
from ingest import Failure, open_slide
from stream.cli.app import app
from stream.config import Config
from stream.events import Provenance
from stream.events.slide_events import failure_event
from stream.identity import Claim, Identity, Order
from stream.review.decisions import DecisionService
from stream.review.slides import SlideLibrary
from tests.approved import approved, laid_out
from tests.stores import STAMP, Filled

ANNA = Identity("S26-1", "C1", "", "O1", "P1", "Anna Ito", "1970-01-31")
BEN = Identity("S26-2", "C2", "B2", "O2", "P2", "Ben Oja", "1981-12-01")
SIZE = re.compile(r"\b[1-9]\d*\.\d MB|\b0\.[1-9] MB")
PNG = re.compile(r"\biVBOR[\w+/=]+")
WORKLIST = """accession,container,patient_id,patient_name,birth_date,state
S26-3,C3,P3,Eva Um,1990-02-03,open
S26-1,C1,P1,Anna Ito,1970-01-31,open
,,,nobody,,open
S26-4,C4,P4,Jo Li,31.1.1970,open
S26-5,C5,P5,Al Po,1970-01-31,strange
"""


class Shell:
    """Runs commands, and writes down what they say."""

    def __init__(self, folder, scans, monkeypatch):
        self.folder, self.scans, self.lines = folder, scans, []
        monkeypatch.setenv("COLUMNS", "160")
        monkeypatch.setenv("LOGNAME", "ada")
        monkeypatch.chdir(folder)

    def run(self, *words, code=0, typed=None):
        done = CliRunner().invoke(app, [str(word) for word in words], input=typed)
        if done.exception and not isinstance(done.exception, SystemExit):
            error = done.exception
            said = f"{type(error).__name__}: {error.what}\n  -> {error.hint}\n"
        else:
            said = done.output
        self.lines.append(f"$ cytostream {' '.join(map(str, words))}\n{self.plain(said)}")
        assert done.exit_code == code, done.output
        return done

    @staticmethod
    def plain(said):
        """JSON lines laid out, tables without their trailing spaces."""
        said = SIZE.sub("some MB", PNG.sub("a picture", said))
        lines = [line.rstrip() for line in said.splitlines()]
        if said.startswith("{\n"):  # one object over many lines
            return laid_out(json.loads(said))
        return "\n".join(laid_out(json.loads(x)) if x.startswith(("{", "[{")) else x for x in lines)

    def is_approved(self, name):
        names = {f"model-{name}": read_card(path).model_id for name, path in SHORT_NAMES.items()}
        slide_id = open_slide(self.scans / "smear.tiff").slide_id
        names |= {"folder": self.folder, "scans": self.scans, "slide": slide_id}
        names |= {"begin-of-slide": slide_id[:8]}
        approved(__file__, name, "\n".join(self.lines), **names)


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    """A store of a signed slide of a patient, one that is read, and one that is no slide."""
    folder = tmp_path_factory.mktemp("laboratory")
    made = Filled(folder / "store", "smear.tiff")
    made.add(3, odd=2)
    made.add_reds({"normal": 12, "schistocyte": 1, "macrocyte": 7})
    made.done()
    failure = Failure("s2", "read", "b.svs: no image", "scan it again", code="slide_unreadable")
    event = failure_event(failure, STAMP, Path("/scans/b.svs"))
    with made.outbox.transaction() as tx:
        tx.set_claims(made.slide.slide_id, "slide", "", [Claim("slide", Identity(barcode="B2"))])
        for order in (ANNA, BEN):
            tx.put_order(Order(order, source="test"))
        tx.add([event])
        tx.keep_failure(event.id, "/scans/b.svs", failure)
    with SlideLibrary(folder / "store", Config()) as library:
        desk = DecisionService(library, Provenance("test"))
        alerts = list(library.shelf(made.slide.slide_id).refresh().told.alerts)
        desk.acknowledge(made.slide.slide_id, "eve", alerts[:1], "seen")
    made.close()
    return folder


@pytest.fixture
def shell(laboratory, tmp_path, monkeypatch):
    """Commands on a copy of the store."""
    copytree(laboratory, tmp_path, dirs_exist_ok=True)
    return Shell(tmp_path, laboratory, monkeypatch)


def test_what_a_store_has(shell):
    cells = shell.run("alerts", "--store", "store", "--json").stdout.splitlines()
    cell = json.loads(cells[0])["data"]["cell_id"]
    shell.run("alerts", "--store", "store")
    shell.run("alerts", "--store", "store", "--all")
    shell.run("failures", "--store", "store")
    shell.run("similar", cell, "--store", "store")
    shell.run("similar", cell, "--store", "store", "--json", "--count", 1)
    shell.run("similar", cell, "--store", "store", "--index", "--class", "blast")
    shell.run("similar", cell, "--store", "store", "--until", "2020-01-01")
    shell.run("models", "list", "--store", "store")
    shell.run("orders", "list", "--store", "store")
    shell.run("orders", "refused", "--store", "store")
    shell.run("audit", "--store", "store")
    shell.run("retention", "--store", "store", "--dry-run")
    shell.is_approved("store")


def test_what_a_command_changes(shell):
    (shell.folder / "w.csv").write_text(WORKLIST)
    store = "--store", "store"
    shell.run("orders", "add", "w.csv", *store, code=1)
    shell.run("orders", "add", "w.csv", *store, code=1)
    shell.run("orders", "list", *store)
    for name, role in (("alice", "admin"), ("bob", "viewer"), ("eve", "chief")):
        password = f"a horse of {name}\n"
        words = "accounts", "add", name, "--role", role, *store
        shell.run(*words, code=int(role == "chief"), typed=password + password)
    shell.run("accounts", "list", *store)
    shell.run("accounts", "remove", "alice", *store, code=1)
    shell.run("accounts", "remove", "bob", *store)
    shell.run("accounts", "remove", "bob", *store, code=1)
    shell.run("accounts", "list", *store)
    forms = [word for form in ("csv", "red.csv", "fhir.json", "crops") for word in ("--form", form)]
    shell.run("export-results", *store, "--out", "out", *forms)
    shell.run("export-results", *store, "--form", "docx", code=1)
    shell.run("export-results", *store, "--slide", "none", code=1)
    shell.run("export-results", *store, "--version", 4, "--out", "out", code=1)
    shell.run("backup", *store, "--out", "kept")
    shell.run("backup", *store, "--out", "kept")
    shell.run("restore", "kept", "--check")
    shell.run("restore", "kept", "--store", "again")
    shell.run("restore", "kept", "--store", "again", code=1)
    shell.run("restore", "kept", "--at", "2001", "--store", "third", code=1)
    shell.run("patient", "export", "P2", "--out", "p2", "--store", "again")
    shell.run("patient", "export", "P9", "--out", "p9", "--store", "again", code=1)
    remove = "patient", "remove", "P2", "--reason", "asked", "--store", "again"
    shell.run(*remove, code=1, typed="n\n")
    shell.run(*remove, typed="y\n")
    shell.run("audit", "--store", "again")
    shell.run("relay", "--store", "again", "--sink", "jsonl:sent.jsonl")
    sent = (shell.folder / "sent.jsonl").read_text().splitlines()
    shell.lines += [json.loads(line)["type"] for line in sent]
    files = sorted(str(path.relative_to(shell.folder)) for path in shell.folder.rglob("*"))
    shell.lines += [name for name in files if name.startswith(("out/", "p2/"))]
    shell.is_approved("changes")


def test_what_is_not_there(shell):
    for words in (
        "alerts --store none",
        "failures --store none",
        "similar 0123456789abcdef --store store",
        "similar 0123456789abcdef --store none",
        "audit --store none",
        "retention --store none",
        "backup --store none",
        "restore none",
        "patient export P1 --store none --out x",
        "models use none --store store",
        "models back --store store",
        "models import none --store store",
        "models import none --store none",
        "models verify none --store store",
        "replay none --store store --sink none",
        "replay --store store --sink none",
        "run none.svs --store store",
        "relay --store store --sink pigeon",
        "tail nothing",
        "config none.toml",
        "card none",
        "locate none.svs",
        "map none.svs",
        "classify none",
        "simulate x.tiff --stain none",
        "simulate x.tiff --per-100 blast=5",
        "lis --store store",
        "orders add none.csv --store store",
    ):
        shell.run(*words.split(), code=1)
    shell.is_approved("not_there")


def test_what_the_configuration_is_without_a_file(shell):
    shell.run("config")
    shell.is_approved("config")
