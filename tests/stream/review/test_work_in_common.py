"""Several people at one worklist: who has a slide in hand, what is urgent, and how far it is."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

from stream.store import STAT, Backlog, Job


def row(person, lab):
    return person.get("/api/slides").json()["slides"][0]


def test_a_slide_says_who_reviews_it_and_how_far(open_lab):
    lab = open_lab("accounts")
    ada = lab.person("ada")
    lab.one = ada
    first = row(ada, lab)
    assert (first["seen"], first["in_review_by"], first["assigned_to"]) == (0, "", "")
    cells = lab.cells()
    decide = {"action": "confirm", "cell_ids": cells[:3], "saw": 0}
    ada.post(f"{lab.slide}/decisions", decide)
    found = row(ada, lab)
    assert (found["seen"], found["in_review_by"]) == (3, "ada")
    assert found["in_review_at"]
    lab.see_all()
    body = {"saw": lab.number(), "password": "correct horse battery"}
    ada.post(f"{lab.slide}/signatures", body)
    assert row(ada, lab)["in_review_by"] == ""


def test_a_slide_is_assigned_and_made_urgent(open_lab):
    lab = open_lab()
    wish = {"assignee": "bert", "stat": True, "saw": 0}
    said = lab.one.post(f"{lab.slide}/assignment", wish).json()
    assert said["standing"]["assigned_to"] == "bert" and said["standing"]["stat"]
    found = row(lab.one, lab)
    assert found["assigned_to"] == "bert" and found["stat"]
    entry = lab.one.get(f"{lab.slide}/trail").json()[-1]
    assert (entry["action"], entry["assignee"], entry["stat"]) == ("assign", "bert", True)
    nobody = lab.one.post(f"{lab.slide}/assignment", {"saw": lab.number()}).json()
    assert nobody["standing"]["assigned_to"] == "" and not nobody["standing"]["stat"]
    bad = {"assignee": "<script>", "saw": 0}
    assert lab.one.post(f"{lab.slide}/assignment", bad).status_code == 422


def test_a_slide_that_was_queued_as_urgent_is_so_in_the_list(open_lab):
    lab = open_lab()
    backlog = Backlog(lab.library.outbox, lab.library.config.backlog)
    backlog.add([Job(lab.made.slide.path, priority=STAT)])
    with sqlite3.connect(lab.made.store / "state.db") as db:
        db.execute("UPDATE backlog SET slide_id = ?", (lab.made.slide.slide_id,))
    lab.made.say("done")
    assert row(lab.one, lab)["stat"]


def test_versions_are_told_side_by_side(open_lab):
    lab = open_lab()
    lab.see_all()
    lab.sign(comment="as found")
    lab.one.post(f"{lab.slide}/amendments", {"reason": "a blast", "saw": lab.number()})
    about = {"action": "reclassify", "cell_ids": lab.cells()[:1], "label": "plasma_cell"}
    lab.one.post(f"{lab.slide}/decisions", {**about, "saw": lab.number()})
    first, second = lab.one.get(f"{lab.slide}/versions").json()
    assert first["conclusion"] == "as found" and first["signed_by"]
    assert second["reason"] == "a blast" and second["signed_by"] is None
    counts = [
        next(line["count"] for line in one["lines"] if line["name"] == "plasma_cell")
        for one in (first, second)
    ]
    assert counts == [0, 1]


class Watched(dict):
    """Decisions that say, whenever they are gone through, whether another thread could take the
    lock that a decision needs.
    """

    def __init__(self, decisions, lock):
        super().__init__(decisions)
        self.lock = lock
        self.was_free = []

    def items(self):
        with ThreadPoolExecutor(1) as another:
            self.was_free.append(another.submit(self.lock.acquire, False).result())
        return super().items()


def test_a_row_is_counted_while_nobody_can_decide(open_lab):
    lab = open_lab()
    cells = lab.cells()
    about = {"action": "confirm", "cell_ids": cells[:3], "saw": lab.number()}
    assert lab.one.post(f"{lab.slide}/decisions", about).is_success
    shelf = lab.library.shelf(lab.made.slide.slide_id)
    watched = shelf.standing.decisions = Watched(shelf.standing.decisions, shelf.lock)
    board = lab.app.state.parts.board
    board._kept.clear()
    assert board.row(shelf.slide_id).seen == 3
    assert watched.was_free and not any(watched.was_free)
