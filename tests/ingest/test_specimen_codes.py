"""What a slide file states of its specimen, read by OpenSlide itself from a small file."""

import numpy as np
import pytest
import tifffile

from ingest import open_slide
from ingest.specimen_codes import specimen_codes
from stream.store import facts_of, slide_of

APERIO = "Aperio Image Library v12.0.15\r\n512x512 [0,0 512x512] (256x256) JPEG/RGB Q=90"


def write_svs(path, pixels=None, **properties):
    words = {"AppMag": "40", "MPP": "0.25", **properties}
    text = APERIO + "".join(f"|{name} = {value}" for name, value in words.items())
    pixels = np.full((512, 512, 3), 240, np.uint8) if pixels is None else pixels
    options = {"tile": (256, 256), "photometric": "rgb", "compression": "jpeg", "metadata": None}
    with tifffile.TiffWriter(path) as file:
        file.write(pixels, description=text, **options)
    return path


def test_a_barcode_of_the_slide_is_one_of_its_facts(tmp_path):
    slide = open_slide(write_svs(tmp_path / "a.svs", Barcode="S26-00117;2"))
    assert slide.vendor == "aperio" and slide.codes == (("barcode", "S26-00117;2"),)
    assert slide_of(facts_of(slide)) == slide


def test_a_slide_without_one_states_nothing(tmp_path):
    assert open_slide(write_svs(tmp_path / "a.svs")).codes == ()


@pytest.mark.parametrize(
    ("properties", "codes"),
    [
        ({"openslide.barcode": "A1", "leica.barcode": "QTE="}, [("barcode", "A1")]),
        ({"leica.barcode": " L7 "}, [("barcode", "L7")]),
        ({"aperio.Barcode": "x" * 65}, []),
        ({"aperio.Barcode": "a\x00b"}, []),
        (
            {
                "dicom.ContainerIdentifier": "C9",
                "dicom.AccessionNumber": "S26-1",
                "dicom.PatientID": "P3",
            },
            [("container", "C9"), ("accession", "S26-1"), ("patient_id", "P3")],
        ),
    ],
)
def test_properties_of_each_vendor(properties, codes):
    assert list(specimen_codes(properties)) == codes
