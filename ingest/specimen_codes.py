"""What a slide file states of its specimen: codes of the label, and the identifiers of DICOM."""

from collections.abc import Mapping

CODE_LETTERS_MAX = 64
SpecimenCode = tuple[str, str]  # (kind, value); kind is barcode, container, accession or patient_id

BARCODE = "openslide.barcode"  # since OpenSlide 4.0.1, for every vendor that has one
VENDOR_BARCODES = ("aperio.Barcode", "leica.barcode", "hamamatsu.Barcode", "ventana.Barcode1")
DICOM_NAMES = {
    "dicom.ContainerIdentifier": "container",
    "dicom.AccessionNumber": "accession",
    "dicom.PatientID": "patient_id",
}


def specimen_codes(properties: Mapping[str, str]) -> tuple[SpecimenCode, ...]:
    """The codes in OpenSlide's properties; one that a person could not read on a label is left
    out.

    A vendor's own property counts only where OpenSlide names no barcode: some vendors encode
    theirs.
    """
    own = [properties.get(name, "") for name in VENDOR_BARCODES]
    barcode = properties.get(BARCODE) or next(filter(None, own), "")
    stated = [("barcode", barcode)]
    stated += [(kind, properties.get(name, "")) for name, kind in DICOM_NAMES.items()]
    return tuple((kind, value.strip()) for kind, value in stated if is_code(value.strip()))


def is_code(value: str) -> bool:
    """Whether a text can be a code: printable, with no more than 64 letters."""
    return 0 < len(value) <= CODE_LETTERS_MAX and value.isprintable()
