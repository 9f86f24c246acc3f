"""A viewer learns what went wrong with a file, and nothing of where it lies or whose it is."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ingest import Failure, SlideError
from stream.config import Config
from stream.events.slide_events import failure_event
from stream.review.images.explanations import ReasonError, Reasons
from stream.store.backlog import Backlog, Job
from tests.stores import STAMP, filled

FOLDER = "pat/DOE_JANE_1980"


def failed(tmp_path):
    """A store with a slide that failed, a place that failed, and a file that is no slide."""
    made = filled(tmp_path / "store")
    path = tmp_path / FOLDER / "ROE_RICHARD.tiff"
    path.parent.mkdir(parents=True)
    path.touch()
    outbox, slide_id = made.outbox, made.slide.slide_id
    facts = outbox.facts(slide_id)
    with outbox.transaction() as tx:
        for of, code in ((slide_id, "tile.unreadable"), ("", "open.unreadable")):
            failure = Failure(of, "open", f"{path}: not a slide", f"{path.parent}?", code=code)
            event = failure_event(failure, STAMP, path)
            old = replace(event, id=event.id + "0", data={**event.data, "what": f"{path} is torn"})
            tx.add([event, old])
            tx.keep_failure(event.id, str(path), failure)
        reason = {"reason": f"{path}: torn", "code": "survey.unreadable"}
        tx.set_status(slide_id, "failed", **{**facts, **reason})
    backlog = Backlog(outbox, Config().backlog)
    backlog.add([Job(path)])
    backlog.give_up(backlog.jobs()[0], f"{path}: cannot be opened")
    return made


def said(lab):
    shown = ["/api/slides", lab.slide, f"{lab.slide}/changes", f"{lab.slide}/tiles/10/0/0"]
    shown += [f"{lab.slide}/report.csv", f"{lab.slide.removeprefix('/api')}/report"]
    return " ".join(lab.one.get(path).text for path in shown)


def test_a_page_that_hides_names_shows_none(open_lab, tmp_path):
    lab = open_lab(made=failed(tmp_path), show_names=False)
    text = said(lab)
    assert not any(word in text for word in ("DOE", "ROE_RICHARD", "pat/", str(tmp_path)))
    assert "cannot be surveyed" in text and "is not a slide" in text and "be decoded" in text


def test_a_page_that_shows_names_shows_no_folder(open_lab, tmp_path):
    lab = open_lab(made=failed(tmp_path))
    text = said(lab)
    assert "ROE_RICHARD.tiff" in text and "DOE" not in text and str(tmp_path) not in text


def test_a_place_that_cannot_be_read_names_no_file(lab, monkeypatch):
    def torn(*_):
        raise SlideError(f"{lab.made.slide.path}: cannot be opened")

    monkeypatch.setattr(lab.app.state.parts.viewer, "tile", torn)
    answer = lab.one.get(f"{lab.slide}/tiles/10/0/0")
    assert answer.status_code == 404 and str(lab.made.slide.path) not in answer.text


def test_an_explanation_that_fails_names_no_file(tmp_path):
    reasons = Reasons(tmp_path / "DOE_JANE", 10.0)
    with pytest.raises(ReasonError) as refused:
        reasons.explain("a" * 20, np.zeros((128, 128, 3), np.uint8))
    reasons.close()
    assert "DOE" not in str(refused.value) and str(tmp_path) not in str(refused.value)


def test_the_words_stay_in_the_store(tmp_path):
    made = failed(tmp_path)
    kept = made.outbox.failures()
    made.close()
    assert len(kept) == 2 and all("ROE_RICHARD" in one.what for one in kept)
    assert json.dumps([one.code for one in kept]) == '["open.unreadable", "tile.unreadable"]'
