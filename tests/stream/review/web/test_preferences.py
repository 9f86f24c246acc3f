"""How a person has set up the page: kept on the server, theirs alone."""

import sqlite3

import pytest

from classify import SHIPPED, read_card
from stream.review.web.accounts import Accounts, Preferences


def keys(lab, client=None):
    classes = (client or lab.one).get(lab.slide).json()["classes"]
    return {one["name"]: one["key"] for one in classes}


def test_every_class_of_the_model_has_a_key_of_its_own(open_lab):
    found = keys(open_lab())
    assert set(read_card(SHIPPED).classes) <= set(found)
    assert all(found.values()) and len(set(found.values())) == len(found)


def test_a_chosen_key_comes_first_and_the_class_that_had_it_gets_another(open_lab):
    lab = open_lab()
    before = keys(lab)
    chosen = {"keys": {"blast": before["lymphocyte"]}, "goal": 200}
    assert lab.one.post("/api/preferences", chosen).json() == {**chosen, "language": None}
    after = keys(lab)
    assert after["blast"] == before["lymphocyte"] != after["lymphocyte"]
    assert len(set(after.values())) == len(after)
    assert lab.one.get(lab.slide).json()["goal"] == 200


def test_each_person_has_their_own_and_they_stay(open_lab):
    lab = open_lab("accounts")
    ada = lab.person("ada")
    bert = lab.person("bert", "viewer")
    ada.post("/api/preferences", {"keys": {"blast": "b"}})
    bert.post("/api/preferences", {"keys": {"blast": "d"}})
    assert keys(lab, ada)["blast"] == "b" and keys(lab, bert)["blast"] == "d"
    with_again = Accounts(lab.made.store)
    assert with_again.preferences("ada").keys == {"blast": "b"}
    with_again.set("vera", "admin", "correct horse battery")
    with_again.remove("ada")
    assert with_again.preferences("ada") == Preferences()
    with_again.close()


@pytest.mark.parametrize(
    "wish",
    [
        {"keys": {"blast": "c"}},  # confirms
        {"keys": {"blast": "b", "monocyte": "b"}},
        {"keys": {"../x": "b"}},
        {"goal": -1},
        {"other": 1},
    ],
)
def test_what_is_no_setting_is_refused(open_lab, wish):
    assert open_lab().one.post("/api/preferences", wish).status_code == 422


def test_what_another_version_kept_gives_the_defaults(open_lab):
    lab = open_lab()
    lab.one.post("/api/preferences", {"goal": 200})
    with sqlite3.connect(lab.made.store / "access.db") as db:
        db.execute("UPDATE preferences SET body = '{\"colour\": 1}'")
    assert lab.one.get("/api/preferences").json() == {"keys": {}, "goal": 100, "language": None}
