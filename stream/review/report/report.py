"""The report of a slide: its count as it stands or as a version was signed, and the cells that
matter. All forms come of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from ingest import CytostreamError
from stream.events import JsonObject, Provenance, specimen_of
from stream.identity import Identity
from stream.review.cell_classes import Scheme
from stream.review.compare import second_readings
from stream.review.detections import Detection
from stream.review.differential import (
    DifferentialLine,
    differential,
    total_lines,
    white_cells,
)
from stream.review.images import FileStanding
from stream.review.red_cells import JudgedReds, RedDetection
from stream.review.review_state import Comment, Signature, Standing
from stream.review.slides import SlideLibrary, SlideView
from stream.review.texts import LANGUAGES, Language
from stream.review.verification import small_count, verification, verified_sentence
from stream.review.versions import changes_since

from .letterhead import Letterhead, letterhead_of
from .red_cells import RedLine, red_lines, red_sentences

SHOWN_ALERTS = 24
SPECIMEN_TITLES = {
    "patient_name": "Patient",
    "birth_date": "Born",
    "patient_id": "Patient id",
    "accession": "Accession",
    "order": "Order",
    "container": "Container",
    "barcode": "Barcode",
}
SHOWN_A_CLASS = 6
SHOWN_WITHIN_RANGE = 2
FILE_CHANGED = (
    "The file of this slide has changed since it was read: it is not what is reported here."
)


class ReportError(CytostreamError):
    """A version that is not there, or a form that cannot be made."""


@dataclass(frozen=True, slots=True)
class Notable:
    """A cell that the report shows, and why; `written` where a person has written that."""

    cell: Detection
    label: str
    why: str
    written: bool = False


@dataclass(frozen=True, slots=True)
class SlideReport:
    """`signature` is None while the version is not signed: the report is preliminary then.
    `changes` says what it changed in the version signed before it; `totals` are lines of classes
    that the model has in finer ones; `scores()` are the probabilities (n, K) of the cells, in the
    order of `classes`; `specimen` is whose slide it is, `codes` what of it goes into tables of
    cells; `features()` the encoder's features (n, F) float16, None where the store has
    none; `file` says whether the slide's file is the one that was read; `fonts` are for letters
    that the printed report's own font has not; `language` is that of its texts.
    """

    slide_id: str
    name: str
    laboratory: str
    version: int
    signature: Signature | None
    scanned: datetime | None
    scheme: Scheme
    lines: list[DifferentialLine]
    totals: list[DifferentialLine]
    white: int
    cells: list[Detection]
    standing: Standing
    notable: list[Notable]
    comments: list[Comment]
    changes: list[str]
    facts: JsonObject
    classes: tuple[str, ...]
    scores: Callable[[], np.ndarray]
    fonts: tuple[Path, ...] = ()
    reds: JudgedReds | None = None
    features: Callable[[], np.ndarray | None] = lambda: None
    file: FileStanding = "there"
    specimen: Identity = Identity()
    language: Language = "en"
    letterhead: Letterhead = Letterhead()
    codes: JsonObject | None = None

    @property
    def scanned_at(self) -> str:
        """When the slide was scanned: a time with its zone, or a date; empty where it is not
        known.
        """
        return str(self.facts.get("slide", {}).get("scanned_at", ""))

    @property
    def specimen_lines(self) -> list[tuple[str, str]]:
        """Whose slide it is, as (title, text); nothing where it is not known or not shown."""
        known = self.specimen.known()
        return [(SPECIMEN_TITLES[name], known[name]) for name in SPECIMEN_TITLES if name in known]

    def place_mm(self, comment: Comment) -> tuple[float, float] | None:
        """The place (x, y) of the slide that a comment is about; None where it is about none."""
        if comment.place_px0 is None or not self.facts.get("mpp"):
            return None
        x, y = (px0 * float(self.facts["mpp"]) / 1000 for px0 in comment.place_px0)
        return x, y

    @property
    def status(self) -> str:
        """FHIR's word: preliminary until signed, then final, amended from the second version on."""
        if self.signature is None:
            return "preliminary"
        return "final" if self.version == 1 else "amended"

    @property
    def shown_lines(self) -> list[DifferentialLine]:
        """The lines of what was counted or has a reference range, and the totals of finer
        classes.
        """
        both = (*self.lines, *self.totals)
        return [line for line in both if line.count or line.low is not None]

    @property
    def red_lines(self) -> list[RedLine]:
        """The kinds of the slide's red cells; none where no red cell was judged."""
        return red_lines(self.facts)

    @property
    def red_sentences(self) -> list[str]:
        """Size, chromia, platelets and white cells of the sampled fields."""
        return red_sentences(self.facts)

    @property
    def verified(self) -> list[str]:
        """How many cells people have verified, and whether percentages rest on few."""
        found = verification(self.scheme, self.standing, self.cells)
        few = small_count(self.white)
        sentence = verified_sentence(found, self.standing)
        taught = [taught_sentence(one) for one in self.facts.get("taught") or ()]
        marked = marked_sentence(self.cells)
        second = second_sentences(self.scheme, self.standing)
        return [sentence, *second, *([marked] if marked else []), *([few] if few else []), *taught]

    @property
    def findings(self) -> list[str]:
        """What is out of its range, in words."""
        return finding_sentences(self.shown_lines)

    @property
    def remarks(self) -> list[str]:
        """What is out of range, what was verified, what the version changed, and whether the file
        still is the slide.
        """
        changed = [FILE_CHANGED] if self.file == "changed" else []
        return [*self.findings, *self.verified, *self.changes, *changed]

    def label(self, cell: Detection | RedDetection) -> str:
        return self.standing.label(cell.cell_id, cell.label)


def finding_sentences(lines: list[DifferentialLine]) -> list[str]:
    """What of a count is outside its reference range, in words; nothing where all is within."""
    found = []
    for flag in ("high", "low"):
        outside = [
            f"{line.title} {line.per_100:.1f}{' %' if line.white else ' per 100 white cells'} "
            f"({line.low:g} to {line.high:g})"
            for line in lines
            if line.flag == flag and line.per_100 is not None and (line.count or flag == "low")
        ]
        found += [f"{flag.capitalize()}: {', '.join(outside)}."] if outside else []
    return found


def second_sentences(scheme: Scheme, standing: Standing) -> list[str]:
    """What a report says of second readers."""
    return [
        f"Second reading by {one.reader}: {one.alike} of {one.cells} cells called alike"
        f"{'' if one.kappa is None else f', Cohen kappa {one.kappa:.2f}'}."
        for one in second_readings(scheme, standing)
        if one.cells
    ]


def marked_sentence(cells: list[Detection]) -> str:
    """What a report says of cells that people have marked; empty where there is none."""
    names = sorted({cell.marked_by for cell in cells if cell.marked_by})
    count = sum(bool(cell.marked_by) for cell in cells)
    if not count:
        return ""
    said = "1 cell was" if count == 1 else f"{count} cells were"
    return f"{said} marked by {', '.join(names)} where the run had found none."


def taught_sentence(taught: JsonObject) -> str:
    """What a report says of a class that the laboratory has taught, and that was in use."""
    expected = taught["expected"]
    return (
        f"Class of this laboratory: {taught['name']}, version {taught['version']}"
        f"{' by ' + taught['by'] if taught['by'] else ''}, taught from {taught['cells']} cells; on "
        f"cells that were held out it found {100 * expected['sensitivity']:.0f} %, and took "
        f"{100 * expected['false_rate']:.1f} % of others for it. Such cells are counted as "
        f"{taught['name']} and not under the model's own classes."
    )


def report_of(
    library: SlideLibrary,
    shelf: SlideView,
    name: str,
    version: int | None = None,
    file: FileStanding = "there",
    language: Language | None = None,
) -> SlideReport:
    """The report of a version; of the one that stands now without one. `file` says how the file at
    the slide's path compares with the one that was read. One that is not signed is in the
    `language`, else in the laboratory's.

    Raises:
        ReportError: there is no such version, or what it was signed for was altered.
    """
    signed = {s.version for s in shelf.standing.signatures}
    if version is not None and version not in signed | {shelf.standing.version}:
        raise ReportError(
            f"no version {version} of this slide",
            f"there are {sorted(signed | {shelf.standing.version})}",
        )
    standing = shelf.standing_at(version)
    signature = standing.signatures[-1] if standing.locked else None
    check_verdicts(library, shelf, signature)
    cells = list(shelf.cells(standing))
    facts = shelf.red_facts(standing)
    counts = shelf.counts(standing)
    lines = differential(shelf.scheme, counts)
    return SlideReport(
        shelf.slide_id,
        name,
        library.config.review.laboratory,
        standing.version,
        signature,
        datetime.fromisoformat(facts["at"]) if "at" in facts else None,
        shelf.scheme,
        lines,
        total_lines(shelf.scheme, counts),
        white_cells(lines),
        cells,
        standing,
        notable_cells(shelf, standing, cells),
        [c for c in standing.comments if c.cell_id is None],
        changes_since(shelf, standing),
        facts,
        shelf.classes,
        lambda: shelf.scores(cells),
        tuple(Path(font).expanduser() for font in library.config.review.fonts),
        shelf.reds,
        lambda: shelf.features(cells),
        file=file,
        language=written_language(signature, language or library.config.review.language),
        letterhead=letterhead_of(library.config.review),
        **specimen_facts(library, shelf, standing),
    )


def written_language(signature: Signature | None, wanted: Language) -> Language:
    """A signed report stays in the language that it was signed in."""
    signed = signature and (signature.language or "en")
    return next((language for language in LANGUAGES if language == signed), wanted)


def specimen_facts(library: SlideLibrary, shelf: SlideView, standing: Standing) -> JsonObject:
    """Whose slide it is, as far as the config shows it, and lets it into tables of cells."""
    identity = shelf.specimen(standing).identity
    rules = library.config.identity
    stamp = Provenance("", share_codes=rules.in_exports, secret=library.outbox.secret)
    return {
        "specimen": identity if rules.shown else Identity(),
        "codes": specimen_of(identity.codes(), stamp),
    }


def check_verdicts(library: SlideLibrary, shelf: SlideView, signature: Signature | None) -> None:
    """A signed report shows the verdicts that were signed for.

    Raises:
        ReportError: they were altered since.
    """
    if signature is None:
        return
    signed = signature.verdicts, signature.red_verdicts
    upto_row = signature.upto_row or 0
    stored = JudgedReds(library.store, shelf.slide_id)
    now = library.verdict_digest(shelf.slide_id, upto_row), stored.digest
    if any(then is not None and then != found for then, found in zip(signed, now, strict=True)):
        what = f"verdicts were altered after {signature.by} signed version {signature.version}"
        raise ReportError(what, "see `cytostream audit`, and restore the store from its backup")


def notable_cells(shelf: SlideView, standing: Standing, cells: list[Detection]) -> list[Notable]:
    """Cells with alerts, those that a person renamed or commented, then the surest of each class:
    more of a class that is above its range.
    """
    lines = differential(shelf.scheme, shelf.counts(standing))
    high = {line.name for line in lines if line.flag == "high"}
    here = {cell.cell_id: cell for cell in cells}
    why = {a.cell_id: f"alert: {a.reason}" for a in shelf.told.alerts.values() if a.cell_id in here}
    why = dict(list(why.items())[:SHOWN_ALERTS])
    for cell_id, decision in standing.decisions.items():
        if cell_id in here and decision.label != here[cell_id].label:
            title = shelf.scheme[here[cell_id].label].title
            why.setdefault(cell_id, f"{title} before, renamed by {decision.by}")
    for comment in standing.comments:
        if comment.cell_id in here:
            why[comment.cell_id] = f"{comment.by}: {comment.text}"
    for name in shelf.scheme.names:
        own = sorted(
            (c for c in cells if standing.label(c.cell_id, c.label) == name),
            key=lambda c: -c.sureness,
        )
        most = SHOWN_A_CLASS if name in high else SHOWN_WITHIN_RANGE
        for cell in own[:most] if name != "other" else []:
            why.setdefault(cell.cell_id, "")
    written = {comment.cell_id for comment in standing.comments}
    return [
        Notable(here[c], standing.label(c, here[c].label), reason, c in written)
        for c, reason in why.items()
    ]
