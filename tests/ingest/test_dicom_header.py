"""The series that a DICOM file names, written by pydicom or byte by byte."""

import struct
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ingest.dicom_header import ELEMENTS_MAX, series_uid, unsigned

UID = "1.2.826.0.1.3680043.8.498.12345678901234567890"
PREAMBLE = bytes(128) + b"DICM"


def written(path: Path, syntax: str, undefined: bool, name_series: bool = True) -> Path:
    """A file whose study, of a sequence, is a series of its own."""
    inner = Dataset()
    inner.SeriesInstanceUID = "9.9.9"
    inner.StudyDescription = "inside"
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    made.StudyDate = "20260101"
    made.AnatomicRegionSequence = Sequence([inner, inner])
    made["AnatomicRegionSequence"].is_undefined_length = undefined
    for item in made.AnatomicRegionSequence:
        item.is_undefined_length_sequence_item = undefined
    made.add_new((0x0009, 0x0010), "LO", "PRIVATE")
    made.add_new((0x0009, 0x1001), "OB", b"\1\2\3\4")
    made.add_new((0x0019, 0x0010), "UN", b"\5" * 300)
    if name_series:
        made.SeriesInstanceUID = UID
    made.Rows = 5
    made.PixelData = bytes(50)
    made["PixelData"].VR = "OB"
    made.file_meta = FileMetaDataset()
    made.SOPInstanceUID = "1.2.3"
    made.file_meta.TransferSyntaxUID = syntax
    made.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("undefined", [True, False])
def test_the_series_of_the_slide_and_not_of_what_it_holds(
    tmp_path: Path, syntax: str, undefined: bool
) -> None:
    path = written(tmp_path / "a.dcm", syntax, undefined)
    assert series_uid(path) == UID
    assert series_uid(written(tmp_path / "b.dcm", syntax, undefined, name_series=False)) is None


def test_a_file_that_ends_anywhere_has_none(tmp_path: Path) -> None:
    data = written(tmp_path / "whole.dcm", ExplicitVRLittleEndian, True).read_bytes()
    end = data.index(UID.encode())
    cut = tmp_path / "cut.dcm"
    for length in range(0, end, 3):
        cut.write_bytes(data[:length])
        assert series_uid(cut) is None
    cut.write_bytes(b"x" * 128 + b"DICX" + data[132:])
    assert series_uid(cut) is None
    cut.write_bytes(data[: end + len(UID)])
    assert series_uid(cut) == UID


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", group, number, vr, len(value)) + value


@pytest.mark.parametrize(
    ("elements", "series"),
    [
        (element(0x20, 0xE, b"UI", b"1.2.3\0"), "1.2.3"),
        (element(0x20, 0xE, b"UI", b"1.2.3 "), "1.2.3"),
        (element(0x20, 0xE, b"UI", b"1" * 70), "1" * 64),
        (element(0x20, 0xE, b"UI", b"1.\xff"), "1.\N{REPLACEMENT CHARACTER}"),
        (element(0x20, 0xD, b"UI", b"7.7\0") + element(0x20, 0xE, b"UI", b"1.2"), "1.2"),
        (element(0x20, 0xF, b"UI", b"7.7\0") + element(0x20, 0xE, b"UI", b"1.2"), None),
        (element(0x20, 0xE, b"UI", b""), ""),
        (struct.pack("<HHI", 0x20, 0xE, 4) + b"1.25", "1.25"),
        (
            struct.pack("<HH2sHI", 0x8, 1, b"OB", 0, 3) + b"abc" + element(0x20, 0xE, b"UI", b"1"),
            "1",
        ),
        (b"", None),
    ],
)
def test_elements_one_after_the_other(tmp_path: Path, elements: bytes, series: str | None) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(PREAMBLE + elements)
    assert series_uid(path) == series


def test_a_header_without_end_is_left(tmp_path: Path) -> None:
    path = tmp_path / "long.dcm"
    for before, series in ((ELEMENTS_MAX - 1, "1.2"), (ELEMENTS_MAX, None)):
        series_element = element(0x20, 0xE, b"UI", b"1.2")
        path.write_bytes(PREAMBLE + element(0x8, 0x5, b"SH", b"") * before + series_element)
        assert series_uid(path) == series
    assert ELEMENTS_MAX == 10_000


def test_numbers_of_two_and_four_bytes() -> None:
    assert (unsigned(b"\1\2"), unsigned(b"\1\0\0\1")) == (0x201, 0x1000001)
    for data in (b"", b"\1", b"\1\2\3", b"\1\2\3\4\5"):
        with pytest.raises(struct.error, match="^the file ends$"):
            unsigned(data)
