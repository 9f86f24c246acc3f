"""Second readers: what they call cells leaves the count alone; agreement is Cohen's kappa."""

import pytest

from stream.review.compare import cohen_kappa

PAIRS = [("a", "a")] * 20 + [("a", "b")] * 5 + [("b", "a")] * 10 + [("b", "b")] * 15


def test_kappa_is_that_of_the_textbook():
    assert cohen_kappa(PAIRS) == pytest.approx(0.4)  # p_o 0.7, p_e 0.5
    assert cohen_kappa([("a", "a"), ("b", "b")]) == 1
    assert cohen_kappa([("a", "b"), ("b", "a")]) == -1
    assert cohen_kappa([]) is None and cohen_kappa([("a", "a")] * 3) is None


@pytest.fixture
def two(open_lab):
    """A slide on which Ada has confirmed ten cells, and Bert as a second reader."""
    lab = open_lab("accounts")
    ada = lab.person("ada")
    lab.one = ada
    cells = lab.cells()[:10]
    confirm = {"action": "confirm", "cell_ids": cells, "saw": 0}
    ada.post(f"{lab.slide}/decisions", confirm)
    return lab, ada, lab.person("bert"), cells


def read(lab, person, cells, label=None):
    saw = person.get(f"{lab.slide}/changes").json()["standing"]["number"]
    about = {"cell_ids": cells, "label": label, "saw": saw}
    return person.post(f"{lab.slide}/second-reading", about)


def test_a_second_reading_leaves_the_count_alone(two):
    lab, ada, bert, cells = two
    before = ada.get(f"{lab.slide}/changes").json()
    after = read(lab, bert, cells, "blast").json()
    assert after["differential"] == before["differential"]
    assert after["standing"]["second"] == dict.fromkeys(cells, "blast")
    assert ada.get(f"{lab.slide}/changes").json()["standing"]["second"] == {}


def test_agreement_is_told_by_class_with_the_cells_that_differ(two):
    lab, ada, bert, cells = two
    read(lab, bert, cells)
    said = ada.get(f"{lab.slide}/agreement").json()
    assert said[0]["reader"] == "bert" and said[0]["alike"] == said[0]["cells"] == 10
    own = lab.made.labels()
    other = "plasma_cell"
    read(lab, bert, cells[:3], other)
    said = ada.get(f"{lab.slide}/agreement").json()[0]
    assert said["alike"] == 7 and set(said["differ"]) == set(cells[:3])
    lines = {line["name"]: line for line in said["classes"]}
    assert lines[other]["second"] == 3 and lines[other]["kappa"] == 0
    pairs = [(own[c], other if c in cells[:3] else own[c]) for c in cells]
    assert said["kappa"] == pytest.approx(cohen_kappa(pairs))
    csv = ada.get(lab.slide.removeprefix("/api") + "/report").text
    assert "Second reading by bert: 7 of 10 cells called alike" in csv


def test_nobody_is_their_own_second_reader(two):
    lab, ada, bert, cells = two
    assert read(lab, ada, cells).status_code == 400
    assert read(lab, bert, ["ab" * 10]).status_code == 404
    assert read(lab, bert, cells, "no-class").status_code == 400


def test_a_signed_slide_can_be_read_once_more(two):
    lab, ada, bert, cells = two
    lab.see_all()
    body = {"saw": lab.number(), "password": "correct horse battery"}
    assert ada.post(f"{lab.slide}/signatures", body).is_success
    assert read(lab, bert, cells).is_success
