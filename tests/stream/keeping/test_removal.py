"""What goes by rule or by a patient's wish: wholly, with a trace that names nobody."""

from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from stream.cli.app import app
from stream.config import Config, RetentionSettings
from stream.identity import Claim, Identity, Order
from stream.keeping import apply_retention, due_removals, slides_of_patient
from stream.review import SlideLibrary, TrailEntry, check_store
from stream.review.decisions import DecisionService
from stream.store import SlideStore, store_path
from tests.stores import STAMP, filled

ANNA = Identity("S26-00117", "C1", "", "O1", "P-1070", "Anna Ito", "1970-01-31")
LATER = datetime.now(UTC) + timedelta(days=40)


@pytest.fixture
def lab(tmp_path):
    """A store with a signed slide of Anna's, whose file carries her name."""
    made = filled(tmp_path / "store", cells=6, odd=0, name="Anna Ito.tiff")
    slide_id = made.slide.slide_id
    with made.outbox.transaction() as tx:
        tx.put_order(Order(ANNA))
        coded = [Claim("slide", Identity(barcode="C1"))]
        tx.set_claims(slide_id, "slide", "", coded)
    made.close()
    with SlideLibrary(tmp_path / "store", Config(), tmp_path / "custody") as library:
        DecisionService(library, STAMP).sign(slide_id, "ben", None, 0)
        yield library, slide_id


def removed(library, **rules):
    settings = RetentionSettings(**rules)
    due = list(due_removals(library, settings, LATER))
    apply_retention(library, due, "ben", STAMP)
    return [one.part for one in due]


def test_pixels_go_and_the_count_and_signature_stay(lab):
    library, slide_id = lab
    assert removed(library, pixels_days=30) == ["pixels"]
    store = SlideStore.open(store_path(library.store, slide_id))
    assert not store.has("crop") and store.has("probability") and store.rows == 6
    assert check_store(library).signatures == 1
    assert removed(library, pixels_days=30) == []
    assert slide_id in library and library.trail.last(slide_id) == 2


def test_whose_it_is_goes_and_the_trail_still_holds(lab):
    library, slide_id = lab
    assert removed(library, identities_days=30) == ["identity"]
    shelf = library.shelf(slide_id)
    assert shelf.specimen(shelf.standing).identity == Identity()
    assert check_store(library).signatures == 1


def test_results_go_wholly(lab):
    library, slide_id = lab
    assert removed(library, results_days=30) == ["results"]
    assert slide_id not in library and not store_path(library.store, slide_id).exists()
    assert list(library.outbox.events(slide_id)) == []
    assert check_store(library).entries == 2


@pytest.mark.parametrize("rules", [{}, {"results_days": 50}])
def test_what_is_not_due_stays(lab, rules):
    assert removed(lab[0], **rules) == []


def test_what_nobody_signed_stays_unless_the_rules_say_so(tmp_path):
    filled(tmp_path / "store", cells=3, odd=0).close()
    with SlideLibrary(tmp_path / "store", Config()) as library:
        assert removed(library, results_days=30) == []
        assert removed(library, results_days=30, signed_only=False) == ["results"]


def bytes_of(store):
    return b"".join(p.read_bytes() for p in store.rglob("*") if p.is_file())


def invoke(tmp_path, *words):
    config = tmp_path / "lab.toml"
    config.write_text(f'[review]\naudit_folder = "{tmp_path}/custody"\n')
    options = ["--store", str(tmp_path / "store"), "--config", str(config)]
    return CliRunner().invoke(app, [*words, *options])


def test_a_dry_run_removes_nothing(lab, tmp_path):
    before = lab[0].outbox.slide_ids()
    said = invoke(tmp_path, "retention", "--dry-run")
    assert said.exit_code == 0 and lab[0].outbox.slide_ids() == before


def test_a_patient_is_handed_out(lab, tmp_path):
    said = invoke(tmp_path, "patient", "export", "P-1070", "--out", str(tmp_path / "out"))
    assert said.exit_code == 0, said.output
    names = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert names >= {"orders.json", "report.pdf", "report.fhir.json", "identity.json", "audit.json"}
    assert "Anna Ito" in (tmp_path / "out" / lab[1] / "identity.json").read_text()


def test_a_patient_is_removed_to_the_last_byte_and_the_trace_names_nobody(lab, tmp_path):
    library, slide_id = lab
    assert b"Anna Ito" in bytes_of(library.store)
    words = ("patient", "remove", "P-1070", "--reason", "request 7", "--yes")
    said = invoke(tmp_path, *words)
    assert said.exit_code == 0 and "Anna Ito.tiff" in said.output  # the scanner's file stays
    left = bytes_of(library.store)
    for word in (b"Anna", b"P-1070", b"S26-00117", b"1970-01-31"):
        assert word not in left
    last = list(library.trail.reviews(slide_id))[-1].data
    assert (last.action, last.removed, last.comment) == ("remove", "results", "request 7")
    assert check_store(library).entries == 2


def test_a_slide_that_may_be_anothers_stays(lab, tmp_path):
    library, slide_id = lab
    library.trail.write(slide_id, "ben", [TrailEntry("amend", {"version": 2})], STAMP)
    with library.outbox.transaction() as tx:
        other = [Claim("name", Identity(accession="S26-00118"))]
        tx.set_claims(slide_id, "name", "a", other)
    (found,) = slides_of_patient(library, "P-1070")
    assert not found.is_sure
    words = ("patient", "remove", "P-1070", "--reason", "request 7", "--yes")
    assert invoke(tmp_path, *words).exit_code == 1
    assert slide_id in library
