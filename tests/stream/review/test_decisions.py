"""Deciding: one or many, undone, in conflict, signed, locked, amended; and the trail that
remembers all of it.
"""

import json
import sqlite3
from collections import Counter

import pytest

from ingest import StoreError
from stream.config import Config
from stream.events.alert import SlideAlert
from stream.events.slide_events import slide_alert_event
from stream.review.audit_trail import REVIEWS_FILE
from stream.review.decisions import DecisionService
from stream.review.images import Crops
from stream.review.report import FORMS, report_of
from stream.review.review_state import fold
from stream.review.slides import SlideLibrary
from tests.stores import STAMP, filled


def counts(changes):
    return {line["name"]: line["count"] for line in changes["differential"] if line["count"]}


def decide(lab, cells, label, saw=None, person=None, action="reclassify"):
    saw = lab.number() if saw is None else saw
    return (person or lab.one).post(
        f"{lab.slide}/decisions", {"action": action, "cell_ids": cells, "label": label, "saw": saw}
    )


def others(lab):
    """The cells that the machine does not call a blast."""
    labels = lab.made.labels()
    return [cell for cell in lab.cells() if labels[cell] != "blast"]


def test_many_cells_are_renamed_in_one_act_and_undone_in_one(lab):
    before = counts(lab.one.get(f"{lab.slide}/changes").json())
    cells = others(lab)[:5]
    done = decide(lab, cells, "blast").json()
    assert (
        counts(done)["blast"] == before.get("blast", 0) + 5
        and set(done["decisions"]) == set(cells)
        and done["standing"]["can_undo"]
    )
    undone = lab.one.post(f"{lab.slide}/undo", {"saw": done["standing"]["number"]}).json()
    assert counts(undone) == before and set(undone["decisions"].values()) == {None}
    assert not undone["standing"]["can_undo"]


def test_undo_goes_back_act_by_act(lab):
    cell = lab.cells()[:1]
    for label in ("blast", "monocyte"):
        assert decide(lab, cell, label).status_code == 200
    once = lab.one.post(f"{lab.slide}/undo", {"saw": lab.number()}).json()
    assert once["decisions"][cell[0]]["label"] == "blast"
    twice = lab.one.post(f"{lab.slide}/undo", {"saw": lab.number()}).json()
    assert twice["decisions"][cell[0]] is None
    assert lab.one.post(f"{lab.slide}/undo", {"saw": lab.number()}).status_code == 400


def test_confirm_and_unidentified(lab):
    one, two = lab.cells()[:2]
    confirmed = decide(lab, [one], None, action="confirm").json()["decisions"][one]
    assert (confirmed["how"], confirmed["label"]) == ("confirm", lab.made.labels()[one])
    assert (
        decide(lab, [two], None, action="unidentified").json()["decisions"][two]["label"]
        == "unidentified"
    )


@pytest.mark.parametrize(
    ("cells", "label", "status"),
    [
        (["0" * 20], "blast", 404),
        (None, "unicorn", 400),
        (None, None, 400),
        (["../../etc"], "blast", 422),
        ([], "blast", 422),
    ],
)
def test_what_cannot_be_decided(lab, cells, label, status):
    refused = decide(lab, lab.cells()[:1] if cells is None else cells, label)
    assert refused.status_code == status and lab.number() == 0


def test_of_two_reviewers_the_slower_is_told_and_loses_nothing(open_lab):
    lab = open_lab("accounts")
    alice, bob = lab.person("alice"), lab.person("bob")
    lab.one = alice
    cells = lab.cells()[:2]
    saw = lab.number()
    assert decide(lab, cells, "monocyte", saw).status_code == 200
    refused = decide(lab, cells[:1], "blast", saw, bob)
    assert refused.status_code == 409 and "alice" in refused.json()["detail"]
    assert (
        decide(lab, lab.cells()[4:5], "blast", saw, bob).status_code == 200
    )  # another cell is no conflict
    news = bob.get(f"{lab.slide}/changes", params={"number": saw}).json()
    assert news["decisions"][cells[0]]["label"] == "monocyte"
    assert decide(lab, cells[:1], "blast", news["standing"]["number"], bob).status_code == 200
    assert alice.post(f"{lab.slide}/undo", {"saw": 0}).status_code == 400  # bob has built upon it


def test_signing_wants_a_finished_slide_acknowledged_alerts_and_eyes_on_the_latest(lab):
    lab.made.say("running")
    assert "running" in lab.sign().json()["detail"]
    lab.made.say("done")
    assert "3 alerts" in lab.sign().json()["detail"]
    assert lab.see_all().status_code == 200
    decide(lab, lab.cells()[:1], "blast")
    stale = lab.sign(saw=lab.number() - 1)
    assert stale.status_code == 409 and lab.sign().status_code == 200


def test_a_signed_slide_is_locked_and_an_amendment_is_a_new_version(lab):
    lab.see_all()
    signed = lab.sign(comment="nothing to see").json()
    assert signed["standing"]["locked"] and signed["row"]["review"] == "signed"
    first = lab.one.get(f"{lab.slide}/report.csv").text
    assert decide(lab, lab.cells()[:1], "blast").status_code == 423
    assert lab.one.post(f"{lab.slide}/undo", {"saw": lab.number()}).status_code == 423
    assert (
        lab.one.post(
            f"{lab.slide}/amendments", {"saw": lab.number(), "reason": "a blast was missed"}
        ).status_code
        == 200
    )
    assert decide(lab, lab.cells()[:1], "blast").status_code == 200
    assert lab.sign().json()["standing"]["version"] == 2
    assert lab.one.get(f"{lab.slide}/report.csv?version=1").text == first
    assert "blast" in lab.one.get(f"{lab.slide}/report.csv?version=2").text
    assert lab.one.get(f"{lab.slide}/report.csv?version=3").status_code == 404


def test_cells_that_come_after_the_signature_are_outside_it(lab):
    lab.see_all()
    before = lab.sign().json()
    lab.made.add(7, store=False)
    lab.made.say("done")
    after = lab.one.get(f"{lab.slide}/changes").json()
    assert after["standing"]["late_cells"] == 7 and counts(after) == counts(before)


def test_every_act_is_an_event_on_its_way_to_the_topic(lab):
    lab.see_all()
    decide(lab, lab.cells()[:2], "blast")
    lab.one.post(
        f"{lab.slide}/comments", {"saw": 0, "text": "large nucleoli", "cell_id": lab.cells()[0]}
    )
    lab.sign()
    events = [record.event for record in lab.library.trail.outbox.events()]
    assert [e.data["action"] for e in events] == ["login"] + ["acknowledge"] * 3 + [
        "reclassify"
    ] * 2 + ["comment", "sign"]
    assert {e.kind for e in events} == {"reviews"} and len({e.id for e in events}) == len(events)
    machine = lab.made.labels()
    reviewed = Counter((machine | dict.fromkeys(lab.cells()[:2], "blast")).values())
    assert reviewed != Counter(machine.values())
    assert {n: c for n, c in events[-1].data["counts"].items() if c} == reviewed
    assert events[4].payload().was == machine[lab.cells()[0]]


def test_the_trail_only_grows_and_a_change_shows(lab):
    decide(lab, lab.cells()[:3], "blast")
    path = lab.made.store / REVIEWS_FILE
    assert lab.library.trail.verify() == 1 + 3  # the login, and a cell each
    with sqlite3.connect(path) as db:
        for sql in ("UPDATE trail SET line = '{}'", "DELETE FROM trail"):
            with pytest.raises(sqlite3.IntegrityError, match="only grows"):
                db.execute(sql)
        db.execute("DROP TRIGGER trail_keeps")
        line = db.execute("SELECT line FROM trail WHERE number = 2").fetchone()[0]
        db.execute("UPDATE trail SET line = ? WHERE number = 2", (line.replace("blast", "other"),))
    db.close()
    with pytest.raises(StoreError, match="broken at entry 2"):
        lab.library.trail.verify()


def test_what_a_page_says_it_has_shown_is_bounded_and_kept(lab):
    cells = lab.cells()[:1]
    for saw in (2**53, lab.number() + 1):
        assert decide(lab, cells, "blast", saw=saw).status_code == 400
    assert decide(lab, cells, "blast").status_code == 200
    lab.see_all()
    assert lab.sign(saw=lab.number() + 1).status_code == 400 and lab.sign().status_code == 200
    said = {r.data.action: r.data.saw for r in lab.library.trail.reviews()}
    assert said["reclassify"] == 0 and said["sign"] == lab.number() - 1


def test_a_restarted_server_knows_everything(lab):
    lab.see_all()
    decide(lab, others(lab)[:3], "blast")
    lab.sign()
    by_machine = len(lab.cells()) - len(others(lab))
    with SlideLibrary(lab.made.store, lab.library.config) as again:
        shelf = again.shelf(lab.made.slide.slide_id)
        assert shelf.standing == lab.library.shelf(lab.made.slide.slide_id).standing
        assert shelf.standing == fold(again.trail.reviews(lab.made.slide.slide_id))
        assert shelf.counts(shelf.standing)["blast"] == by_machine + 3


def test_the_changes_beyond_a_row_are_all_cells_once(lab):
    got, row = [], 0
    while True:
        page = lab.one.get(f"{lab.slide}/changes", params={"row": row, "limit": 7}).json()
        got += [c[1] for c in page["cells"]]
        if not page["more"]:
            break
        row = page["cells"][-1][0]
    assert sorted(got) == sorted(lab.made.labels()) and len(set(got)) == len(got)


def test_the_differential_is_what_one_counts_by_hand(lab):
    said = lab.one.get(f"{lab.slide}/changes").json()
    labels = list(lab.made.labels().values())
    white = sum(label not in ("erythroblast", "platelet", "other") for label in labels)
    assert said["white_cells"] == white
    for line in said["differential"]:
        n = labels.count(line["name"])
        assert line["count"] == n and line["per_100"] == pytest.approx(100 * n / white)
        assert line["percent"] == (pytest.approx(100 * n / white) if line["white"] else None)
        if line["white"] and line["low"] is not None:
            assert line["flag"] == (
                "low"
                if line["percent"] < line["low"]
                else "high"
                if line["percent"] > line["high"]
                else ""
            )


def test_intervals_are_wilsons():
    from scipy.stats import binomtest

    from stream.review.differential import _wilson

    for count, white in [(0, 7), (3, 7), (7, 7), (120, 1000)]:
        known = binomtest(count, white).proportion_ci(method="wilson")
        assert _wilson(count, white) == pytest.approx((100 * known.low, 100 * known.high), abs=1e-9)


def test_the_count_is_that_of_its_cells(lab):
    """The quick count against the slow one, cell by cell, while decisions come and go."""
    shelf = lab.library.shelf(lab.made.slide.slide_id)
    cells = lab.cells()
    for label, some in (
        ("blast", cells[:5]),
        ("monocyte", cells[3:9]),
        ("unidentified", cells[7:8]),
    ):
        decide(lab, some, label)
        slow = {}
        for cell in shelf.refresh().found.cells:
            name = shelf.standing.label(cell.cell_id, cell.label)
            slow[name] = slow.get(name, 0) + 1
        assert dict(shelf.counts(shelf.standing)) == slow


def test_the_worklist_has_as_many_open_alerts_as_the_slide(lab):
    """Before anybody has looked at it, and after; those of the slide as a whole are among them."""
    alert = SlideAlert("anomalies", "warning", 9.0, 5.0, "many odd cells", 40, "scanner-1")
    with lab.made.outbox.transaction() as tx:
        tx.add([slide_alert_event(lab.made.slide.slide_id, alert, STAMP)])

    def open_alerts():
        return lab.one.get("/api/slides").json()["slides"][0]["open_alerts"]

    first = open_alerts()
    of_slide = lab.one.get(f"{lab.slide}/changes").json()["alerts"]
    decide(lab, lab.cells()[:1], "blast")
    assert first == open_alerts() == len(of_slide) > 1


def test_a_cell_tells_its_history(lab):
    cell = lab.cells()[0]
    decide(lab, [cell], "blast")
    said = lab.one.get(f"{lab.slide}/cells/{cell}").json()
    assert (
        said["decision"]["label"] == "blast"
        and said["history"][0]["was"] == lab.made.labels()[cell]
    )
    assert sum(said["verdict"]["scores"].values()) == pytest.approx(1)
    assert json.dumps(said).count("Smith") == 0


def test_a_class_that_has_left_the_configuration_stays_in_the_count(tmp_path):
    made = filled(tmp_path / "store", cells=6, odd=0)
    made.close()
    name = made.slide.slide_id
    config = Config(review={"classes": ["hairy-cell"]})
    with SlideLibrary(tmp_path / "store", config) as library:
        cells = [cell.cell_id for cell in library.shelf(name).found.upto(None)[:2]]
        desk = DecisionService(library, STAMP)
        desk.decide(name, "ada", "reclassify", cells, "hairy-cell", 0)
        desk.sign(name, "ada", None, library.trail.last(name))
    with SlideLibrary(tmp_path / "store", Config()) as library:
        shelf = library.shelf(name)
        report = report_of(library, shelf, "smear.tiff")
        crops = Crops(tmp_path / "store", library.queries, library.trail.marked)
        assert {line.name: line.count for line in report.lines}["hairy-cell"] == 2
        assert FORMS["pdf"].make(report, crops).startswith(b"%PDF")
