"""One identity out of many statements: never a guess, whatever the order in which they come."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.identity import CODE_FIELDS, Claim, Identity, Order, is_sufficient, resolve

ANNA = Identity("S26-1", "C1", "", "O1", "P1", "Anna Ito", "1970-01-31")
BEN = Identity("S26-2", "C2", "", "O2", "P2", "Ben Oja", "1981-12-01")
WORKLIST = [Order(ANNA), Order(BEN)]


def slide(**codes):
    return Claim("slide", Identity(**codes))


def name(**codes):
    return Claim("name", Identity(**codes))


def test_a_barcode_finds_the_container_of_an_order():
    found = resolve([slide(barcode="C2")], WORKLIST)
    assert found.status == "matched" and found.identity.patient_name == "Ben Oja"
    assert found.identity.barcode == "C2" and not is_sufficient(found, "order")


def test_codes_that_agree_are_joined():
    found = resolve([slide(barcode="C1"), name(accession="S26-1")], WORKLIST)
    assert (found.status, found.identity.order) == ("matched", "O1")


@pytest.mark.parametrize(
    "claims",
    [
        [slide(barcode="C1"), name(accession="S26-2")],  # of two orders
        [name(accession="S26-1"), Claim("intake", Identity(accession="S26-2"))],  # two values
        [slide(barcode="C1", patient_id="P2")],  # another patient than the order's
        [slide(accession="S26-1", container="C2")],
    ],
)
def test_a_contradiction_is_held(claims):
    for order in permutations(claims):
        found = resolve(order, WORKLIST)
        assert found.status == "conflict" and found.problems
        assert not found.identity.patient_name
        assert is_sufficient(found, "none")


def test_two_orders_of_one_accession_are_for_a_person_to_choose():
    second = Order(Identity("S26-1", "C3", "", "O3", "P1", "Anna Ito", "1970-01-31"))
    worklist = [*WORKLIST, second]
    found = resolve([name(accession="S26-1")], worklist)
    assert found.status == "conflict" and len(found.candidates) == 2
    stated = resolve([name(accession="S26-1")], worklist, second.identity)
    assert (stated.status, stated.identity) == ("matched", second.identity)


def test_what_a_person_states_stands_in_place_of_the_rest():
    claims = [slide(barcode="C1"), name(accession="S26-2")]
    found = resolve(claims, WORKLIST, Identity(accession="S26-2"))
    assert (found.status, found.identity.patient_id) == ("matched", "P2")


def test_a_cancelled_order_fits_nothing():
    found = resolve([slide(barcode="C1")], [Order(ANNA, "cancelled")])
    assert found.status == "identified" and is_sufficient(found, "order")


def test_an_unknown_slide_is_sufficient_only_where_nothing_is_demanded():
    found = resolve([], WORKLIST)
    assert found.status == "unknown" and not is_sufficient(found, "none")
    assert is_sufficient(found, "accession") and is_sufficient(found, "order")


codes = st.fixed_dictionaries({}, optional=dict.fromkeys(CODE_FIELDS, st.sampled_from("ABC")))
claims = st.lists(st.builds(lambda c: Claim("slide", Identity(**c)), codes), max_size=3)
orders = st.lists(
    st.builds(
        lambda c, patient: Order(Identity(**c, patient_id=patient)),
        codes.filter(bool),
        st.sampled_from("PQ"),
    ),
    max_size=3,
    unique=True,
)


@given(claims, orders, st.randoms())
def test_the_order_of_statements_decides_nothing(stated, worklist, random):
    found = resolve(stated, worklist)
    mixed = resolve(random.sample(stated, len(stated)), random.sample(worklist, len(worklist)))
    assert (found.status, found.identity) == (mixed.status, mixed.identity)


@given(claims, orders)
def test_a_match_contradicts_no_statement(stated, worklist):
    found = resolve(stated, worklist)
    for claim in stated if found.status == "matched" else ():
        for field, value in claim.identity.known().items():
            assert getattr(found.identity, field) == value
    if found.identity.patient_id:
        assert found.status == "matched"
