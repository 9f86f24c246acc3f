"""When a slide was scanned, as its file states it."""

import re
from collections.abc import Mapping
from datetime import datetime

# Property, and the forms of time that its vendor writes; without a zone only the date is known.
STATED = (
    ("dicom.AcquisitionDateTime", ("%Y%m%d%H%M%S%z", "%Y%m%d%H%M%S", "%Y%m%d")),
    ("leica.creation-date", ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S")),
    ("aperio.Date", ("%m/%d/%y", "%m/%d/%Y")),
    ("hamamatsu.Created", ("%Y/%m/%d",)),
    ("mirax.GENERAL.SLIDE_CREATIONDATETIME", ("%d/%m/%Y %H:%M:%S",)),
    ("tiff.DateTime", ("%Y:%m:%d %H:%M:%S",)),
)
_FRACTION = re.compile(r"\.\d+")


def scan_time(properties: Mapping[str, str]) -> str:
    """ISO 8601 of the time, or of the date where no time zone is stated; empty where neither is."""
    for name, forms in STATED:
        text = _FRACTION.sub("", properties.get(name, "").strip()).replace("Z", "+0000")
        for form in forms:
            if found := _read(text, form):
                return found.isoformat() if found.tzinfo else found.date().isoformat()
    return ""


def _read(text: str, form: str) -> datetime | None:
    try:
        found = datetime.strptime(text, form)
    except ValueError:
        return None
    return found if 1990 <= found.year < 2100 else None
