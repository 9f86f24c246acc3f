"""When a slide was scanned: as far as its file says, and no further."""

import pytest

from ingest import open_slide
from ingest.scan_time import scan_time
from stream.store import facts_of, slide_of
from tests.ingest.test_specimen_codes import write_svs


@pytest.mark.parametrize(
    ("properties", "time"),
    [
        ({"leica.creation-date": "2026-11-27T10:15:00.123Z"}, "2026-11-27T10:15:00+00:00"),
        ({"dicom.AcquisitionDateTime": "20261127101500.5+0100"}, "2026-11-27T10:15:00+01:00"),
        ({"dicom.AcquisitionDateTime": "20261127101500"}, "2026-11-27"),
        ({"aperio.Date": "12/29/09", "aperio.Time": "09:59:15"}, "2009-12-29"),
        ({"tiff.DateTime": "2026:11:27 10:15:00"}, "2026-11-27"),
        ({"tiff.DateTime": "0000:00:00 00:00:00"}, ""),
        ({"tiff.DateTime": "1970:01:01 00:00:00"}, ""),
        ({"aperio.Date": "yesterday"}, ""),
        ({}, ""),
    ],
)
def test_times_of_each_vendor(properties, time):
    assert scan_time(properties) == time


def test_a_slide_has_it_among_its_facts(tmp_path):
    slide = open_slide(write_svs(tmp_path / "a.svs", Date="11/27/26"))
    assert slide.scanned_at == "2026-11-27" and slide_of(facts_of(slide)) == slide
