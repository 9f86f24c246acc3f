"""The file of a slide is held against what was read, before its pixels are shown."""

import os
import shutil

import pytest
from typer.testing import CliRunner

from ingest import SerialWorkers, open_slide
from stream.cli.app import app
from stream.config import BacklogSettings as Rules
from stream.review.images.slide_check import SlideCheck
from stream.review.report.report import FILE_CHANGED
from stream.store.backlog import Backlog, Job
from tests.make import smear


@pytest.fixture
def slide(tmp_path):
    smear(tmp_path / "a.tiff", side_px=300, whites=1)
    return open_slide(tmp_path / "a.tiff")


@pytest.fixture
def check():
    return SlideCheck(SerialWorkers(), limit_s=10)


def test_another_picture_under_the_same_path_is_not_shown(lab):
    path = lab.made.slide.path
    assert lab.one.get(f"{lab.slide}/tiles/10/0/0").status_code == 200
    view = lab.one.get(lab.slide).json()["view"]
    assert view["available"] and not view["changed"]
    shutil.copy(path, path.with_suffix(".kept"))
    try:
        smear(path, side_px=700, whites=4, seed=7)
        said = lab.one.get(f"{lab.slide}/tiles/10/0/0")
        assert said.status_code == 404 and "changed" in said.json()["detail"]
        view = lab.one.get(lab.slide).json()["view"]
        assert view["changed"] and not view["available"]
    finally:
        path.with_suffix(".kept").replace(path)
    assert lab.one.get(f"{lab.slide}/tiles/10/0/0").status_code == 200  # the same content again


def test_exports_say_that_the_file_has_changed_and_lay_nothing_over_it(lab, tmp_path):
    path = lab.made.slide.path
    fhir, over = (f"{lab.slide}/report.{form}" for form in ("fhir.json", "geojson"))
    words = ["export-results", "--store", str(lab.made.store), "--out", str(tmp_path / "out")]
    words += ["--form", "csv", "--form", "geojson"]
    before = lab.one.get(fhir).text
    assert FILE_CHANGED not in before and lab.one.get(over).status_code == 200
    shutil.copy(path, path.with_suffix(".kept"))
    try:
        smear(path, side_px=300, whites=1, seed=8)
        assert FILE_CHANGED in lab.one.get(fhir).text
        assert "do not fit it" in lab.one.get(over).json()["detail"]
        said = CliRunner().invoke(app, words)
    finally:
        path.with_suffix(".kept").replace(path)
    assert said.exit_code == 1
    assert "changed:" in said.stderr and "another file than the one that was read" in said.stderr
    assert [file.suffix for file in (tmp_path / "out").iterdir()] == [".csv"]
    assert lab.one.get(fhir).text == before and lab.one.get(over).status_code == 200


def test_exports_of_a_slide_that_is_gone_are_as_before(lab, tmp_path):
    path = lab.made.slide.path
    path.rename(path.with_suffix(".kept"))
    try:
        assert lab.one.get(f"{lab.slide}/report.geojson").status_code == 200
    finally:
        path.with_suffix(".kept").replace(path)


def test_a_file_of_the_same_size_and_time_is_told_apart(slide, check):
    facts = slide.path.stat()
    data = bytearray(slide.path.read_bytes())
    data[-1] ^= 1
    slide.path.write_bytes(data)
    os.utime(slide.path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert slide.path.stat().st_size == facts.st_size
    assert check.find(slide).standing == "changed"


def test_a_copy_that_was_touched_is_still_the_slide(slide, check):
    os.utime(slide.path)
    found = check.find(slide)
    assert found.standing == "there" and found.slide.path == slide.path


def test_a_slide_that_was_renamed_is_found_under_its_other_name(slide, check):
    other = slide.path.rename(slide.path.with_name("b.tiff"))
    assert check.find(slide).standing == "gone"
    assert check.find(slide, [other]).slide.path == other


def test_a_file_is_read_in_whole_once_for_each_state(slide, check, monkeypatch):
    os.utime(slide.path)
    check.find(slide)
    monkeypatch.setattr(check._workers, "call", None)  # it would be an error now
    assert check.find(slide).standing == "there"


def test_both_names_of_a_slide_are_shown(lab, tmp_path):
    slide = lab.made.slide
    backlog = Backlog(lab.library.outbox, Rules())
    for path in (slide.path, tmp_path / "copy.tiff"):
        backlog.add([Job(path)])
        backlog.finish(backlog.next(), slide.slide_id, 1.0)
    assert lab.one.get(lab.slide).json()["other_names"] == ["copy.tiff"]
