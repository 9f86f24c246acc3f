"""Annotations of a signed DICOM slide at a server that this project did not write: Orthanc with its
DICOMweb plugin (Debian: orthanc, orthanc-dicomweb).
"""

import io
import json
import shutil
import socket
import subprocess
import urllib.request
from email import message_from_bytes, policy
from pathlib import Path
from time import monotonic

import numpy as np
import pydicom
import pytest
import tifffile

from stream.config import Config, LisSettings
from stream.events import REVIEW
from stream.lis import ResultReports, StowSink
from stream.review import SlideLibrary
from stream.review.decisions import DecisionService
from stream.sinks import EventRefusedError
from tests.dicom_slide import write_dicom_slide
from tests.make import MPP, smear
from tests.stores import STAMP, filled

ORTHANC = shutil.which("Orthanc")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_S = 60


@pytest.fixture
def signed(tmp_path):
    """A library with a signed DICOM slide."""
    smear(tmp_path / "smear.tiff", side_px=700, whites=4)
    pixels = tifffile.imread(tmp_path / "smear.tiff", key=0)
    names = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "S\u00f6hne^Anna"}
    write_dicom_slide(tmp_path / "smear.dcm", pixels, MPP, **names)
    made = filled(tmp_path / "store", cells=12, odd=0, name="smear.dcm")
    with SlideLibrary(tmp_path / "store", Config()) as library:
        DecisionService(library, STAMP).sign(made.slide.slide_id, "\u5c71\u7530", None, 0)
        yield library, made.slide
    made.close()


def reviews(library):
    return list(library.trail.outbox.events(types=(REVIEW,)))


def test_a_signature_has_annotations_and_other_slides_have_none(signed, tmp_path):
    library, slide = signed
    results = ResultReports(library, LisSettings())
    (instance,) = [made for one in reviews(library) if (made := results.as_dicom(one))]
    read = pydicom.dcmread(io.BytesIO(instance))
    assert (
        read.ContentDescription == "final, version 1" and read.ContentCreatorName == "\u5c71\u7530^"
    )
    slide.path.rename(tmp_path / "elsewhere.dcm")
    with pytest.raises(EventRefusedError, match="not there"):
        results.as_dicom(reviews(library)[-1])


def test_of_a_slide_that_is_no_dicom_nothing_is_sent(tmp_path):
    made = filled(tmp_path / "store", cells=4, odd=0)
    with SlideLibrary(tmp_path / "store", Config()) as library:
        DecisionService(library, STAMP).sign(made.slide.slide_id, "anna", None, 0)
        results = ResultReports(library, LisSettings())
        assert [results.as_dicom(one) for one in reviews(library)] == [None]
    made.close()


@pytest.fixture
def orthanc(tmp_path):
    """The address of DICOMweb of a server of its own."""
    if ORTHANC is None or not PLUGIN.exists():
        pytest.skip("Orthanc with DICOMweb is not installed (orthanc, orthanc-dicomweb)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "StorageDirectory": str(tmp_path / "db"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    log = (tmp_path / "orthanc.log").open("wb")
    running = subprocess.Popen([ORTHANC, tmp_path / "orthanc.json"], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    until = monotonic() + START_S
    while not answers(f"{url}/system"):
        assert running.poll() is None and monotonic() < until, (
            tmp_path / "orthanc.log"
        ).read_text()
    yield f"{url}/dicom-web"
    running.terminate()
    running.wait()
    log.close()


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=1).status == 200
    except OSError:
        return False


def retrieved(base, instance):
    """The instance as WADO-RS gives it back."""
    path = f"studies/{instance.StudyInstanceUID}/series/{instance.SeriesInstanceUID}"
    accept = {"Accept": 'multipart/related; type="application/dicom"'}
    asked = urllib.request.Request(
        f"{base}/{path}/instances/{instance.SOPInstanceUID}", headers=accept
    )
    with urllib.request.urlopen(asked) as answer:
        head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
        whole = message_from_bytes(head + answer.read(), policy=policy.HTTP)
    (part,) = whole.iter_parts()
    return pydicom.dcmread(io.BytesIO(part.get_payload(decode=True)))


def test_orthanc_keeps_them_once_and_gives_them_back_as_they_are(signed, orthanc):
    library, slide = signed
    settings = LisSettings(stow_to=orthanc)
    results = ResultReports(library, settings)
    for _ in range(2):  # as after a crash
        StowSink(settings, results.as_dicom).send(reviews(library))
    sent = pydicom.dcmread(io.BytesIO(results.as_dicom(reviews(library)[-1])))
    found = json.load(urllib.request.urlopen(f"{orthanc}/instances?PatientID=P-1"))
    assert [one["00080018"]["Value"] for one in found] == [[sent.SOPInstanceUID]]
    kept = retrieved(orthanc, sent)
    cells = library.shelf(slide.slide_id).found.cells
    boxes = {
        tuple(map(int, (*corner.min(axis=0), *corner.max(axis=0))))
        for group in kept.AnnotationGroupSequence
        for corner in np.frombuffer(group.PointCoordinatesData, np.float32).reshape(-1, 4, 2)
    }
    assert boxes == {cell.box_px0 for cell in cells}
    assert kept.PatientName == "S\u00f6hne^Anna"
