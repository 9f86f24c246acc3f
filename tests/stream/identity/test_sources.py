"""What file names, barcodes and worklists state."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from stream.config import IdentitySettings
from stream.identity import (
    Identity,
    IdentityError,
    claims_of_codes,
    claims_of_name,
    identity_from,
    identity_of_body,
    read_worklist,
)

PATTERN = r"(?P<accession>[A-Z]\d\d-\d{5})"


def test_a_name_states_each_place_that_fits():
    one = claims_of_name(Path("/scans/Ito S26-00117 a.svs"), [PATTERN])
    assert [claim.identity for claim in one] == [Identity(accession="S26-00117")]
    two = claims_of_name(Path("S26-00117_S26-00118.svs"), [PATTERN])
    assert [claim.identity.accession for claim in two] == ["S26-00117", "S26-00118"]
    assert not claims_of_name(Path("S26-00117/smear.svs"), [PATTERN])


def test_a_barcode_is_taken_apart_only_where_it_fits_as_a_whole():
    whole = claims_of_codes([("barcode", "S26-00117;2")], PATTERN + r";(?P<container>\d)")
    assert [claim.identity for claim in whole] == [
        Identity(barcode="S26-00117;2"),
        Identity("S26-00117", "2"),
    ]
    assert len(claims_of_codes([("barcode", "S26-00117;x")], PATTERN)) == 1


@pytest.mark.parametrize("pattern", ["(", "no group", "(?P<patient>.*)"])
def test_a_pattern_that_states_nothing_is_refused(pattern):
    with pytest.raises(ValidationError):
        IdentitySettings(file_patterns=(pattern,))


@pytest.mark.parametrize(
    "values", [{"accession": "a\nb"}, {"accession": "x" * 65}, {"ward": "3"}, {"order": "\u202e1"}]
)
def test_what_can_be_no_code_is_refused(values):
    with pytest.raises(IdentityError):
        identity_from(values)


def test_an_identity_is_its_body_again():
    anna = Identity("S26-1", patient_name="Änna", birth_date="1970-01-31")
    assert identity_of_body(anna.body()) == anna
    with pytest.raises(IdentityError):
        identity_of_body('["S26-1"]')


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_worklist_is_read_line_by_line(tmp_path, separator):
    lines = ["accession,container,patient_name,state", "S26-1,C1,Itō Anna,", "S26-2,C2,,cancelled"]
    lines += [",,nobody,", "S26-3,C3,,lost", "S26-4"]
    path = tmp_path / "worklist.csv"
    path.write_text("\n".join(lines).replace(",", separator) + "\n", "utf-8-sig")
    orders, bad = read_worklist(path)
    assert [(one.identity.accession, one.state) for one in orders] == [
        ("S26-1", "open"),
        ("S26-2", "cancelled"),
    ]
    assert [line.line for line in bad] == [4, 5, 6]


@pytest.mark.parametrize("text", ["", "patient_name\nAnna\n", "accession,ward\nS,3\n", "\xff"])
def test_a_file_that_is_no_worklist_is_refused(tmp_path, text):
    (tmp_path / "w.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(IdentityError):
        read_worklist(tmp_path / "w.csv")


def test_a_line_that_breaks_off_does_not_stop_the_others(tmp_path):
    path = tmp_path / "w.csv"
    path.write_text('accession,order\nS26-1,1\n"S26-2"x,2\nS26-3,3\n')
    orders, bad = read_worklist(path)
    assert [one.identity.accession for one in orders] == ["S26-1", "S26-3"] and len(bad) == 1
