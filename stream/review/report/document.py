"""The report as a document in its language: what page and paper both show, in the same order."""

from dataclasses import dataclass

from stream.review.differential import DifferentialLine
from stream.review.review_state import Comment
from stream.review.texts import Texts

from .red_cells import PER_LITRE, RedLine
from .report import Notable, SlideReport

LEADING = 6  # cells that stand beside the tables: alerts first, then what people have renamed
IN_TABLE = "Platelets: "  # what begins a sentence whose figures the table has
NOTE = "Computed by a research tool, not a medical device. Ranges are those of the configuration."


@dataclass(frozen=True, slots=True)
class TableRow:
    """The texts of a line; `flag` is "high" or "low" where it is out of its range, else empty."""

    texts: tuple[str, ...]
    flag: str = ""


@dataclass(frozen=True, slots=True)
class TablePart:
    """One part of the table: the first column is words, the last a flag, grade or value, those
    between are numbers.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, slots=True)
class ShownCell:
    """A cell with its picture: its class, and why it is shown."""

    notable: Notable
    title: str
    why: str


@dataclass(frozen=True, slots=True)
class ReportDocument:
    """All texts of a report. `findings` come first; `method` ends what a doctor reads, and the
    `further` cells follow it.
    """

    language: str
    title: str
    specimen: tuple[tuple[str, str], ...]
    slide: str
    status: str
    is_signed: bool
    findings: tuple[str, ...]
    conclusion: str
    parts: tuple[TablePart, ...]
    estimates: tuple[str, ...]
    cells_title: str
    cells: tuple[ShownCell, ...]
    further_title: str
    further: tuple[ShownCell, ...]
    remarks: tuple[str, ...]
    comments: tuple[str, ...]
    method: tuple[str, ...]
    page: str


def document_of(report: SlideReport) -> ReportDocument:
    """The report in the language that it was signed in, or is asked for in."""
    t = Texts(report.language)
    signature = report.signature
    conclusion = signature.comment if signature and signature.comment else ""
    within = t("All counted classes are within their ranges.") if report.white else ""
    changed = report.remarks[len(report.findings) :]
    return ReportDocument(
        language=t.language,
        title=t("Differential count of a blood smear"),
        specimen=tuple((t(title), t.day(text)) for title, text in report.specimen_lines),
        slide=f"{t('Slide')} {report.name}",
        status=_status(t, report),
        is_signed=signature is not None,
        findings=tuple(map(t.sentence, report.findings)) or (within,) * bool(within),
        conclusion=f"{t('Conclusion')}: {conclusion}" if conclusion else "",
        parts=tuple(part(t, report) for part in TABLE_PARTS if part(t, report).rows),
        estimates=tuple(t.sentence(said) for said in report.red_sentences if IN_TABLE not in said),
        cells_title=t("Cells"),
        cells=tuple(_shown(t, report, one) for one in report.notable[:LEADING]),
        further_title=t("Further cells"),
        further=tuple(_shown(t, report, one) for one in report.notable[LEADING:]),
        remarks=tuple(map(t.sentence, changed)),
        comments=tuple(
            f"{c.by}, {t.time(c.at)}{place_words(t, report, c)}: {c.text}" for c in report.comments
        ),
        method=_method(t, report),
        page=t("page"),
    )


def place_words(t: Texts, report: SlideReport, comment: Comment) -> str:
    """Where on the slide a comment is pinned, as it follows its author; empty where it is not."""
    place = report.place_mm(comment)
    if place is None:
        return ""
    x, y = (t.number(mm, 3) for mm in place)
    return f", {t('at {x} mm, {y} mm of the slide', x=x, y=y)}"


def _status(t: Texts, report: SlideReport) -> str:
    signed = report.signature
    if signed is None:
        return t("PRELIMINARY, version {version}: not signed", version=report.version)
    signed_words = "version {version}. Signed by {by} at {at}."
    said = t(signed_words, version=report.version, by=signed.by, at=t.time(signed.at))
    return f"{t(report.status.capitalize())}, {said}"


def _method(t: Texts, report: SlideReport) -> tuple[str, ...]:
    """On what the report rests, by which model, and its limits."""
    said = [t("{cells} cells, {white} of them white", cells=len(report.cells), white=report.white)]
    if report.scanned:
        said.append(t("read {at}", at=t.time(report.scanned)))
    said.append(t("model {model}", model=report.facts.get("model_id", "?")))
    if calibration := report.facts.get("calibration"):
        said.append(t("calibrated on {set}", set=calibration))
    return "; ".join(said) + ".", f"{t(NOTE)} {t('Slide')} {report.slide_id}."


def _white_part(t: Texts, report: SlideReport) -> TablePart:
    columns = "Class", "Count", "%", "95 % interval", "per 100 WBC", "Reference", "Flag"
    rows = tuple(TableRow(_white_texts(t, line), line.flag) for line in report.shown_lines)
    return TablePart(t("White cells"), tuple(map(t, columns)), rows)


def _white_texts(t: Texts, line: DifferentialLine) -> tuple[str, ...]:
    reference = ""
    if line.low is not None and line.high is not None:
        reference = t("{low} to {high}", low=_plain(t, line.low), high=_plain(t, line.high))
    interval = _between(t, *line.interval) if line.interval else ""
    share = "" if line.percent is None else t.number(line.percent, 1)
    per_100 = "" if line.per_100 is None else t.number(line.per_100, 1)
    flag = t(line.flag) if line.flag else ""
    return t(line.title), str(line.count), share, interval, per_100, reference, flag


def _red_part(t: Texts, report: SlideReport) -> TablePart:
    columns = "Kind", "Count", "%", "95 % interval", "Grade (ICSH 2015)"
    rows = tuple(TableRow(_red_texts(t, line), _graded(line)) for line in report.red_lines)
    return TablePart(t("Red cells"), tuple(map(t, columns)), rows)


def _platelet_part(t: Texts, report: SlideReport) -> TablePart:
    """Estimates from the sampled fields; no row where platelets were not counted."""
    found = report.facts.get("red_cells") or {}
    values: dict[str, str] = {}
    if found.get("platelets_per_litre") is not None:
        values = {
            "Platelets": f"{found['platelets_per_litre'] / 1e9:.0f} {PER_LITRE}",
            "Platelets a field": t.number(found["platelets_per_field"], 1),
            "Clumps": str(found["platelet_clumps"]),
            "Wider than 4 \N{MICRO SIGN}m": str(found["large_platelets"]),
            "White cells": f"{t.number(found['whites_per_litre'] / 1e9, 1)} {PER_LITRE}",
        }
    rows = tuple(TableRow((t(name), value)) for name, value in values.items())
    return TablePart(t("Platelets"), (t("Estimated from the smear"), t("Value")), rows)


def _red_texts(t: Texts, line: RedLine) -> tuple[str, ...]:
    share, interval = t.number(line.percent, 1), _between(t, line.low, line.high)
    return t(line.title), str(line.count), share, interval, line.grade_text


def _graded(line: RedLine) -> str:
    return "high" if line.grade >= 2 else ""


TABLE_PARTS = (_white_part, _red_part, _platelet_part)


def _shown(t: Texts, report: SlideReport, one: Notable) -> ShownCell:
    why = one.why if one.written else t.sentence(one.why)
    return ShownCell(
        one, t(report.scheme[one.label].title), why or f"p {t.number(one.cell.sureness, 2)}"
    )


def _between(t: Texts, low: float, high: float) -> str:
    return t("{low} to {high}", low=t.number(low, 1), high=t.number(high, 1))


def _plain(t: Texts, value: float) -> str:
    """A limit as it was written in the config."""
    return t.sentence(f"{value:g}")
