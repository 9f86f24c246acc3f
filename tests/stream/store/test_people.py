"""What is kept of people, act by act: who was signed in by a provider, what each prefers, and
which areas they have looked at.
"""

from contextlib import closing

import pytest

from stream.store.account_table import AccountRow, AccountTable
from stream.store.people import PreferenceTable, ProvidedPerson, ProvidedTable, SeenAreaTable


@pytest.fixture
def path(tmp_path):
    return tmp_path / "access.db"


ANNA = ProvidedPerson("https://id", "1", "anna", "Anna Ito", ("staff", "night"))


def test_a_person_of_a_provider_keeps_the_name_that_was_first(path):
    with closing(ProvidedTable(path)) as table:
        assert table.put(ANNA) == ANNA and table.people() == [ANNA]
        again = ProvidedPerson("https://id", "1", "anna2", "Anna I.", ())
        kept = ProvidedPerson("https://id", "1", "anna", "Anna I.", ())
        assert table.put(again) == kept and table.people() == [kept]
        assert table.known("https://id", "1") == table.named("anna") == kept
        for issuer, subject in (("https://id", "2"), ("https://other", "1")):
            assert table.known(issuer, subject) is None
            other = ProvidedPerson(issuer, subject, "ANNA", "Another", ())
            assert table.put(other) is None  # the name is another person's
        assert table.named("anna2") is None
        ben = ProvidedPerson("https://id", "2", "aaron", "Aaron", ("staff",))
        assert table.put(ben) == ben and table.people() == [ben, kept]


def test_a_name_of_an_account_is_not_given_to_a_person_of_a_provider(path):
    with closing(AccountTable(path)) as accounts, closing(ProvidedTable(path)) as table:
        with accounts.changing() as change:
            change.put(AccountRow("Anna", "reviewer", "hash"))
        assert table.put(ANNA) is None and table.people() == []
        with accounts.changing() as change:
            change.remove("Anna", 5.0)
        assert table.put(ANNA) is None  # nor one that an account had


def test_preferences_are_each_person_s_own(path):
    with closing(PreferenceTable(path)) as table:
        assert table.body("anna") is None
        table.put("anna", "{}")
        table.put("ben", "[1]")
        table.put("anna", "[2]")
        assert [table.body(name) for name in ("anna", "ben", "x")] == ["[2]", "[1]", None]
        table.put("anna", None)
        assert [table.body(name) for name in ("anna", "ben")] == [None, "[1]"]


def test_areas_are_of_a_person_and_a_slide(path):
    with closing(SeenAreaTable(path)) as table:
        assert table.squares("anna", "s1") == ""
        for name, slide_id, squares in (
            ("anna", "s1", "a"),
            ("anna", "s2", "b"),
            ("ben", "s1", "c"),
            ("anna", "s1", "d"),
        ):
            table.put(name, slide_id, squares)

        def seen():
            return [table.squares(n, s) for n in ("anna", "ben") for s in ("s1", "s2")]

        assert seen() == ["d", "b", "c", ""]
        table.forget("anna")
        assert seen() == ["", "", "c", ""]
