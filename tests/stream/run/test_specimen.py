"""Whose slide it is, from a file to its events and the worklist, by the main path."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from ingest import Slide
from stream.cli.app import app
from stream.config import Config
from stream.events import SLIDE, Provenance
from stream.identity import Identity
from stream.run.context import RunContext
from stream.run.pipeline import run_slide
from stream.run.specimen import keep_claims, with_codes
from tests.ingest.test_specimen_codes import write_svs
from tests.make import BrightnessEngine, tiny_model

PATTERN = r"^(?P<accession>S\d\d-\d+)_"


@pytest.fixture
def lab(tmp_path, outbox):
    """What a run shares, with rules of identity; nothing is read in these tests."""

    def lab(**rules):
        config = Config(identity={"file_patterns": (PATTERN,), **rules})
        stamp = Provenance(
            "test", "model-1", "config-1", share_codes=config.identity.in_events, secret="s"
        )
        store = tmp_path / "store"
        return RunContext(config, tiny_model(), BrightnessEngine(), None, outbox, store, stamp)

    return lab


def found(lab, slide, path, announced=None) -> Identity:
    keep_claims(lab, slide, path, announced)
    return lab.outbox.resolution(slide.slide_id)


@pytest.fixture
def slide(tmp_path) -> Slide:
    from ingest import open_slide

    return open_slide(write_svs(tmp_path / "S26-7_a.svs", Barcode="C7"))


def test_slide_name_and_caller_are_joined(lab, slide):
    one = found(lab(), slide, slide.path, '{"order": "O7"}')
    assert one.identity == Identity("S26-7", barcode="C7", order="O7")


def test_another_name_of_the_same_slide_is_a_conflict_and_a_mended_pattern_ends_it(lab, slide):
    assert found(lab(), slide, slide.path).status == "identified"
    copy = slide.path.with_name("S26-8_a.svs")
    assert found(lab(), slide, copy).status == "conflict"
    assert found(lab(file_patterns=()), slide, copy).identity.accession == "S26-7"


@pytest.mark.parametrize("share", ["none", "hashed", "clear"])
def test_events_have_of_it_what_the_config_lets_out(lab, slide, share):
    from stream.events import slide_event

    shared = lab(in_events=share)
    keep_claims(shared, slide, slide.path, None)
    told = with_codes(shared, slide_event(slide, "running", shared.stamp)).data["specimen"]
    if share == "none":
        assert told is None
    else:
        assert told["hashed"] == (share == "hashed")
        assert (told["accession"] == "S26-7") == (share == "clear") and told["order"] is None


def test_the_main_path_keeps_it(tmp_path, lab):
    from ingest import open_workers

    path = write_svs(tmp_path / "S26-9_b.svs", Barcode="C9")
    with open_workers(0) as workers:
        report = run_slide(replace(lab(in_events="clear"), workers=workers), path)
    slide_id = report.slide.slide_id
    used = lab().outbox
    assert used.resolution(slide_id).identity == Identity("S26-9", barcode="C9")
    ended = [e.event.data for e in used.events(slide_id, types=(SLIDE,))][-1]
    assert ended["specimen"]["accession"] == "S26-9"


def test_orders_are_added_and_listed_by_command(tmp_path):
    (tmp_path / "w.csv").write_text("accession,patient_name\nS26-1,Anna Ito\n,nobody\n")
    words = ["orders", "add", str(tmp_path / "w.csv"), "--store", str(tmp_path / "s")]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 1 and "w.csv, line 3: no code at all" in said.output
    assert "1 orders are new" in said.output
    assert "0 orders are new" in CliRunner().invoke(app, words).output
    listed = CliRunner().invoke(app, ["orders", "list", "--store", str(tmp_path / "s")]).output
    assert "S26-1" in listed and "Anna" not in listed
