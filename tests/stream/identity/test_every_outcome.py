"""Every way in which claims and orders make one identity, whole; codes and worklists at their
limits.
"""

from pathlib import Path

import pytest

from stream.identity import (
    Claim,
    Identity,
    Order,
    claims_of_codes,
    claims_of_name,
    read_worklist,
    resolve,
    worklist_csv,
)
from stream.identity.matching import is_sufficient
from stream.identity.specimen import IdentityError, identity_from, identity_of_body
from tests.approved import approved

ANNA = Order(Identity("S1", "C1", "", "O1", "P1", "Anna"), source="lis", number=1)
BEN = Order(Identity("S2", "C2", "B2", "O2", "P2", "Ben"), number=2)
GONE = Order(Identity("S3", patient_id="P3"), "cancelled", number=3)
TWIN = Order(Identity("S1", "C9", patient_id="P1"), number=4)
ORDERS = (ANNA, BEN, GONE)


def slide(**codes):
    return Claim("slide", Identity(**codes))


CASES = {
    "nothing": ((), ORDERS, None),
    "a code that no order has": ((slide(accession="S9"),), ORDERS, None),
    "no code": ((slide(patient_id="P1"),), ORDERS, None),
    "an order": ((slide(accession="S1"),), ORDERS, None),
    "a barcode of any kind": ((slide(barcode="O2"),), ORDERS, None),
    "two codes of one order": ((slide(accession="S1", container="C1"),), ORDERS, None),
    "codes of two orders": ((slide(accession="S1", container="C2"),), ORDERS, None),
    "one code of an order, one of none": ((slide(accession="S1", container="C8"),), ORDERS, None),
    "two orders": ((slide(accession="S1"),), (*ORDERS, TWIN), None),
    "one of two by another code": (
        (slide(accession="S1", container="C9"),),
        (*ORDERS, TWIN),
        None,
    ),
    "a cancelled order": ((slide(accession="S3"),), ORDERS, None),
    "sources that differ": (
        (slide(accession="S1"), Claim("name", Identity("S2")), Claim("intake", Identity("S1"))),
        ORDERS,
        None,
    ),
    "sources that agree": (
        (slide(accession="S1"), Claim("name", Identity("S1", "C1"))),
        ORDERS,
        None,
    ),
    "another patient than the order has": (
        (slide(accession="S1", patient_id="P7", birth_date="2000-01-01"),),
        ORDERS,
        None,
    ),
    "what a person says": ((slide(accession="S1"),), ORDERS, Identity("S2")),
    "what a person says of nobody": ((slide(accession="S1"),), ORDERS, Identity()),
}


def test_every_outcome():
    lines = []
    for name, (claims, orders, stated) in CASES.items():
        found = resolve(claims, orders, stated)
        who = " ".join(f"{key}={value}" for key, value in found.identity.known().items())
        lines.append(f"{name}: {found.status} {who}")
        lines += [f"  problem: {problem}" for problem in found.problems]
        lines += [f"  candidate {order.number}" for order in found.candidates]
        lines += [f"  {claim.source}: {claim.identity.known()}" for claim in found.claims]
        for demand in ("none", "accession", "order"):
            lines.append(f"  {demand}: {is_sufficient(found, demand) or 'may be signed'}")
    approved(__file__, "outcomes", "\n".join(lines))


def test_claims_of_labels_and_names():
    pattern = "(?P<accession>S[0-9]+)(-(?P<container>C[0-9]+))?"
    codes = [("accession", "S1"), ("barcode", "S2-C2")]
    lines = [repr(claim) for claim in claims_of_codes(codes, pattern)]
    lines += [repr(claim) for claim in claims_of_codes(codes)]
    lines += [repr(claim) for claim in claims_of_codes(codes, "(?P<accession>S[0-9]+)")]
    path = Path("/S7/S1-C1_S2_S1-C1.svs")
    lines += [repr(claim) for claim in claims_of_name(path, [pattern, "S(?P<order>1)"])]
    long = "(?P<accession>x+)"
    assert claims_of_name(Path("x" * 65), [long]) == []
    assert len(claims_of_name(Path("x" * 64), [long])) == 1
    assert claims_of_name(path, ["(?P<patient_id>S1)", "(?P<order>)"]) == []
    approved(__file__, "claims", "\n".join(lines))


def refused(call, *given):
    with pytest.raises(IdentityError) as told:
        call(*given)
    return f"{told.value.what} -> {told.value.hint}"


def test_an_identity_of_texts(tmp_path):
    given = {"accession": " S\u0041\u030a ", "patient_name": "x" * 200, "order": "y" * 64}
    found = identity_from(given)
    assert found == Identity("S\u00c5", order="y" * 64, patient_name="x" * 200)
    assert found.codes() == {"accession": "S\u00c5", "order": "y" * 64}
    assert identity_of_body(found.body()) == found
    assert Identity("\u00e9", patient_id="P").body() == '{"accession": "\u00e9", "patient_id": "P"}'
    lines = [
        refused(identity_from, {"zip": "1", "age": "2"}),
        refused(identity_from, {"x" * 60: "1"}),
        refused(identity_from, {"order": "y" * 65}),
        refused(identity_from, {"patient_name": "x" * 201}),
        refused(identity_from, {"order": "a\x07b"}),
        *(refused(identity_of_body, body) for body in ("no", "[1]", "3", '{"order": 3}', "null")),
    ]
    approved(__file__, "texts", "\n".join(lines))


def test_worklists(tmp_path, monkeypatch):
    lines = []
    path = tmp_path / "w.csv"
    for name, text in {
        "commas": "accession,container\nS1,C1\nS2,\n",
        "semicolons": "accession;patient_name\nS1;Ito, Anna\n",
        "tabs": "accession\tstate\nS1\tcancelled\nS2\t\nS3\topen\nS4\tgone\n",
        "no order": 'accession,patient_id\n,P1\n,\nS1\nS1,P1,x\n"S\n1",P1\nS5,P5\n',
        "a quote that does not end": 'accession,order\nS1,"x\n',
        "a mark at its beginning": "\ufefforder\nO1\n",
        "no code": "patient_id\nP1\n",
        "an unknown column": "accession,age\nS1,3\n",
        "a column twice": "accession,accession\nS1,S2\n",
        "nothing": "",
    }.items():
        path.write_text(text, "utf-8")
        try:
            orders, bad = read_worklist(path)
        except IdentityError as error:
            lines.append(f"{name}: {error.what} -> {error.hint}")
            continue
        lines.append(f"{name}:")
        lines += [f"  {one.state} {one.source} {one.identity.known()}" for one in orders]
        lines += [f"  line {one.line}: {one.reason}" for one in bad]
    assert (worklist_csv.BYTES_MAX, Order(Identity()).number) == (50_000_000, 0)
    path.write_bytes(b"accession\n\xff\n")
    lines += [refused(read_worklist, path), refused(read_worklist, tmp_path / "none.csv")]
    path.write_text("order\nO1\n")
    monkeypatch.setattr("stream.identity.worklist_csv.BYTES_MAX", path.stat().st_size)
    assert len(read_worklist(path)[0]) == 1
    monkeypatch.setattr("stream.identity.worklist_csv.BYTES_MAX", path.stat().st_size - 1)
    lines.append(refused(read_worklist, path))
    monkeypatch.undo()
    long = tmp_path / f"{'x' * 120}.csv"
    long.write_text("order\nO1\n")
    assert len(read_worklist(long)[0][0].source) == 100
    approved(__file__, "worklists", "\n".join(lines), folder=tmp_path)
