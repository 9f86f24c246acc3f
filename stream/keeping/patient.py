"""All that a store has of one patient: handed out, or removed with a trace that names nobody."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ingest import StoreError
from stream.events import Provenance
from stream.identity import Identity
from stream.review import SlideLibrary, WorklistView
from stream.review.images import Crops
from stream.review.report import FORMS, report_of
from stream.store import write_private_file
from stream.store.upkeep import remove_orders

from .retention import Removal, remove_part, standing_of

FORMS_OF_EXPORT = ("pdf", "fhir.json", "csv", "red.csv")


@dataclass(frozen=True, slots=True)
class PatientSlide:
    """A slide that is, or may be, of a patient: `is_sure` is False where that is not settled."""

    slide_id: str
    identity: Identity
    is_sure: bool


def slides_of_patient(library: SlideLibrary, patient_id: str) -> list[PatientSlide]:
    """The slides of a patient, and those that something states to be theirs."""
    found = []
    for slide_id in library.outbox.slide_ids():
        standing = standing_of(library, slide_id)
        signed = standing.signatures[-1] if standing.locked else None
        stated = library.trail.stated(signed.number) if signed else None
        now = library.specimen(slide_id, standing)
        identity = stated or now.identity
        others = [claim.identity for claim in now.claims]
        others += [order.identity for order in now.candidates]
        is_sure = identity.patient_id == patient_id
        if is_sure or any(one.patient_id == patient_id for one in others):
            found.append(PatientSlide(slide_id, identity, is_sure))
    return found


def export_patient(library: SlideLibrary, patient_id: str, out: Path) -> list[Path]:
    """Writes orders, reports, tables of cells and audit entries of a patient's slides into a
    folder; returns the files.

    Raises:
        StoreError: the store cannot be read, or has nothing of this patient.
        OSError: the folder cannot be written.
    """
    written = []
    orders = [asdict(order) for order in library.outbox.orders(patient_id)]
    slides = [slide for slide in slides_of_patient(library, patient_id) if slide.is_sure]
    if not orders and not slides:
        raise StoreError(
            f"{library.store}: has nothing that is settled to be of this patient",
            "see the numbers of patients in the worklist",
        )
    contents: dict[str, bytes] = {"orders.json": json.dumps(orders, indent=1).encode()}
    crops = Crops(library.store, library.queries, library.trail.marked)
    for slide in slides:
        contents |= _files(library, crops, slide)
    for name, content in contents.items():
        write_private_file(out / name, content)
        written.append(out / name)
    return written


def _files(library: SlideLibrary, crops: Crops, slide: PatientSlide) -> dict[str, bytes]:
    shelf = library.shelf(slide.slide_id)
    name = WorklistView(library).name(slide.slide_id, shelf.facts())
    report = report_of(library, shelf, name)
    reviews = [
        {"at": one.at.isoformat(), **one.data.model_dump(mode="json", exclude_none=True)}
        for one in library.trail.reviews(slide.slide_id)
    ]
    place = slide.slide_id
    return {
        **{f"{place}/report.{form}": FORMS[form].make(report, crops) for form in FORMS_OF_EXPORT},
        f"{place}/identity.json": slide.identity.body().encode(),
        f"{place}/audit.json": json.dumps(reviews, indent=1).encode(),
    }


def remove_patient(
    library: SlideLibrary, slides: Iterable[PatientSlide], patient_id: str, by: str, reason: str
) -> list[str]:
    """Removes the slides, whose they are, and the patient's orders; returns where files of the
    scanner lie, which are not the store's to remove.

    Raises:
        StoreError: something cannot be removed; the same call goes on.
    """
    stamp = Provenance(library.config.source)
    paths: list[str] = []
    for slide in slides:
        facts = library.outbox.facts(slide.slide_id)
        paths += [str(facts["slide"]["path"])] if "slide" in facts else []
        removal = Removal(slide.slide_id, "results", datetime.now(UTC), reason)
        removed = remove_part(library, removal, by, stamp)
        paths += removed.paths if removed else []
    remove_orders(library.store / "state.db", patient_id)
    return sorted(set(paths))
