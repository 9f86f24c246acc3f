"""The command `alerts` and the review page say the same of every alert."""

import json
import sqlite3

import pytest
from typer.testing import CliRunner

from ingest import StoreError
from stream.cli.app import app
from stream.review.alert_list import list_alerts
from tests.stores import filled


def listed(lab, *words):
    """What the command prints: who has acknowledged each alert, by its id."""
    store = str(lab.library.store)
    said = CliRunner().invoke(app, ["alerts", "--store", store, "--json", *words])
    assert said.exit_code == 0, said.output
    lines = map(json.loads, said.stdout.splitlines())
    return {line["id"]: line["acknowledged_by"] for line in lines}


def page_alerts(lab):
    return [a["alert_id"] for a in lab.one.get(f"{lab.slide}/changes").json()["alerts"]]


def acknowledge(lab, *alert_ids):
    body = {"alert_ids": alert_ids, "saw": lab.number()}
    assert lab.one.post(f"{lab.slide}/acknowledgements", body).status_code == 200


def test_what_the_page_acknowledges_is_acknowledged_in_the_command(lab):
    first, second, third = page_alerts(lab)
    assert list(listed(lab)) == [first, second, third]
    acknowledge(lab, first, second)
    assert list(listed(lab)) == [third]
    everything = listed(lab, "--all")
    assert list(everything) == [first, second, third] and everything[third] is None
    assert everything[first] == everything[second] != ""


def test_what_is_taken_back_on_the_page_is_open_again(lab):
    first, *_ = page_alerts(lab)
    acknowledge(lab, first)
    assert first not in listed(lab)
    assert lab.one.post(f"{lab.slide}/undo", {"saw": lab.number()}).status_code == 200
    assert first in listed(lab)


def test_a_store_without_reviews_stays_without(lab, tmp_path):
    made = filled(tmp_path / "other" / "store", cells=4, odd=2)
    made.close()
    assert [standing.reviewer for standing in list_alerts(made.store)] == [None, None]
    assert not (made.store / "reviews.db").exists()


def test_an_acknowledgement_put_in_by_hand_is_refused(lab):
    first, second, _ = page_alerts(lab)
    acknowledge(lab, first)
    path = lab.library.store / "reviews.db"
    with sqlite3.connect(path) as db:
        sql = "SELECT number, line FROM trail ORDER BY number DESC LIMIT 1"
        last, line = db.execute(sql).fetchone()
        slide_id = lab.made.slide.slide_id
        row = (last + 1, slide_id, line.replace(first, second), "0" * 64)
        db.execute("INSERT INTO trail VALUES (?, ?, ?, ?)", row)
    db.close()
    with pytest.raises(StoreError, match=f"broken at entry {last + 1}"):
        list_alerts(lab.library.store)


def test_a_replayed_alert_is_no_second_one(lab):
    before = listed(lab)
    store = str(lab.library.store)
    words = ["replay", lab.made.slide.slide_id, "--store", store, "--sink", "none"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert listed(lab) == before
