"""Reports from the shell, the audit trail checked, cells searched by likeness."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ingest import CytostreamError, SerialWorkers
from stream.cli.console import print_error, screen
from stream.cli.options import RESULTS, ConfigOption, StoreOption
from stream.cli.session import require_store
from stream.config import Config, load_config
from stream.events import Event, Provenance
from stream.store import (
    LikeCell,
    SlideQueries,
    index_store,
    like_cells,
    slides_between,
    write_private_file,
)

if TYPE_CHECKING:
    from stream.review import Audit, SlideLibrary, SlideView
    from stream.review.images import Crops, FileStanding, SlideCheck
    from stream.review.report import SlideReport

DAY = "%Y-%m-%d"


def export_results(
    store: StoreOption = RESULTS,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("exported"),
    form: Annotated[
        list[str] | None,
        typer.Option(help="csv, parquet, geojson, h5ad, dcm, fhir.json, pdf, zip, crops."),
    ] = None,
    slide: Annotated[
        list[str] | None, typer.Option(help="Slide id, or its beginning; all slides without one.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="A signed version; what stands now without it.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write results as files: cells (CSV, Parquet, GeoJSON for QuPath, AnnData, annotations of a
    DICOM slide), the count (FHIR, PDF), reviewed cells (images).

    [bold]Examples[/]

    cytostream export-results --store results --form csv --form fhir.json

    cytostream export-results --store results --form crops --out training
    """
    request = ExportRequest(store, out, form or ["csv"], slide, version)
    written, refused = export_slides(request, load_config(config))
    screen.print(f"{written} files in {out}")
    if refused:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Which slides of a store (beginnings of their ids; None is all), in which forms and which
    version (None is what stands now), and the folder to write to.
    """

    store: Path
    out: Path
    forms: list[str]
    slides: list[str] | None = None
    version: int | None = None


def export_slides(request: ExportRequest, settings: Config) -> tuple[int, int]:
    """Writes slides in some forms; how many files, and how many reports were left out.

    Raises:
        CytostreamError: there is no store, no such form or slide, or a file cannot be written.
    """
    from stream.review import SlideLibrary
    from stream.review.images import Crops, SlideCheck
    from stream.review.report import LettersError, ReportError

    check_forms(request.forms)
    require_store(request.store)
    written = 0
    refused = 0
    with SlideLibrary(request.store, settings) as library:
        crops = Crops(request.store, library.queries, library.trail.marked)
        check = SlideCheck(SerialWorkers(), settings.reading.survey_limit_s)
        for slide_id in chosen(library.outbox.slide_ids(), request.slides):
            file = exported_file(library.shelf(slide_id), check)
            for form in request.forms:
                try:
                    report = _report(library, slide_id, request.version, file)
                    written += _write(report, crops, form, request.out)
                except (ReportError, LettersError) as error:
                    refused += 1
                    print_error(f"{slide_id}, {form}: {error.what}", error.hint, "left out")
    return written, refused


def check_forms(forms: list[str]) -> None:
    from stream.review.report import FORMS

    if unknown := set(forms) - {*FORMS, "crops"}:
        raise CytostreamError(
            f"no form {', '.join(sorted(unknown))}", f"of {', '.join(FORMS)}, crops"
        )


def chosen(known: list[str], wanted: list[str] | None) -> list[str]:
    """The slides whose ids begin as wanted.

    Raises:
        CytostreamError: one of the beginnings fits none.
    """
    if not wanted:
        return known
    for start in wanted:
        if not any(slide_id.startswith(start) for slide_id in known):
            raise CytostreamError(f"no slide {start}", f"there are {', '.join(known) or 'none'}")
    return [slide_id for slide_id in known if slide_id.startswith(tuple(wanted))]


def exported_file(shelf: "SlideView", check: "SlideCheck") -> "FileStanding":
    """How the file of a slide compares with the one that was read; says it where it has changed."""
    slide = shelf.slide()
    standing = check.find(slide, shelf.names()).standing if slide else "gone"
    if slide and standing == "changed":
        what = f"{slide.path}: another file than the one that was read"
        print_error(what, "exports say so; run it to have it read", "changed")
    return standing


def _report(
    library: "SlideLibrary", slide_id: str, version: int | None, file: "FileStanding"
) -> "SlideReport":
    from stream.review import WorklistView
    from stream.review.report import report_of

    shelf = library.shelf(slide_id)
    name = WorklistView(library).name(slide_id, shelf.facts())
    return report_of(library, shelf, name, version, file)


def _write(report: "SlideReport", crops: "Crops", form: str, out: Path) -> int:
    """One slide in one form; returns how many files."""
    from stream.review.report import FORMS, image_folder_of

    files: Iterable[tuple[str, bytes]]
    if form == "crops":
        files = image_folder_of(report, lambda cell: crops.png(report.slide_id, cell))
    else:
        stem = re.sub(r"[^\w.-]+", "_", Path(report.name).stem).strip("._") or "slide"
        name = f"{stem}-{report.slide_id[:8]}-v{report.version}.{form}"
        files = [(name, FORMS[form].make(report, crops))]
        screen.print(str(out / name))
    with writing(out):
        return sum(save(out, path, content) for path, content in files)


def save(out: Path, name: str, content: bytes) -> int:
    """Writes one file below `out`, for its owner alone.

    Raises:
        CytostreamError: its name leads out of the folder.
    """
    path = out / name
    if not path.resolve().is_relative_to(out.resolve()):
        raise CytostreamError(f"{name!r} is not below {out}", "restore the store from its backup")
    write_private_file(path, content)
    return 1


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Raises CytostreamError where a file cannot be written."""
    try:
        yield
    except OSError as error:
        raise CytostreamError(
            f"{out}: {error.strerror}", "choose another --out, or free some space"
        ) from error


def audit(
    store: StoreOption = RESULTS,
    config: ConfigOption = None,
    kafka: Annotated[
        bool, typer.Option("--kafka", help="Compare with what was sent to the topic of reviews.")
    ] = False,
    expect: Annotated[str, typer.Option(help="A head that was written down, as 30:DIGEST.")] = "",
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Seal with another key from now on.")
    ] = False,
) -> None:
    """Check the audit trail of a store: its chain and seals, the heads kept outside, and the
    verdicts that were signed for.

    Exit status 1 where something was altered.

    Example: cytostream audit --store results --kafka
    """
    found = audit_store(store, load_config(config), kafka, expect, new_key)
    screen.print(
        f"{found.entries} entries, each as it was written; {found.sealed} sealed, "
        f"{found.signatures} signatures hold; compared with {found.heads} heads "
        f"({found.signed_heads} of them signed) and {found.events} sent events",
    )
    screen.print(f"head {found.head}")


def audit_store(
    store: Path, settings: Config, kafka: bool = False, expect: str = "", new_key: bool = False
) -> "Audit":
    """What a check of the audit trail of a store found, with what was sent to Kafka where that is
    asked for.

    Raises:
        CytostreamError: nothing was reviewed there, or something was altered.
    """
    from stream.review import REVIEWS_FILE, SlideLibrary, check_store, custody_folder

    if not (store / REVIEWS_FILE).is_file():
        raise CytostreamError(
            f"{store}: nothing was reviewed here", "is it the store that `cytostream serve` uses?"
        )
    with SlideLibrary(store, settings, custody_folder(settings.review.audit_folder)) as library:
        if new_key:
            from stream.review.web import local_name

            library.trail.renew_key(local_name(), Provenance(settings.source))
        return check_store(library, sent(settings) if kafka else (), expect)


def sent(settings: Config) -> Iterable[Event]:
    """What is on the topic of reviews."""
    from stream.kafka import read_all

    return read_all(settings.kafka, ["reviews"])


def similar(
    cell: Annotated[str, typer.Argument(help="Id of a cell, as events and exports have it.")],
    store: StoreOption = RESULTS,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many cells.")] = 10,
    slide: Annotated[str, typer.Option(help="Only of this slide: its id, or its beginning.")] = "",
    label: Annotated[str, typer.Option("--class", help="Only cells of this class.")] = "",
    since: Annotated[
        datetime | None,
        typer.Option(formats=[DAY], help="Only of slides finished from this day on (UTC)."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(formats=[DAY], help="Only of slides finished up to this day (UTC)."),
    ] = None,
    index: Annotated[
        bool,
        typer.Option(
            "--index", help="First add finished slides to the index, for searches in a moment."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a cell.")] = False,
) -> None:
    """List the cells of all slides of a store that are most like a given one, nearest first.

    Slides that are not in the index (--index) are searched exactly.

    Example: cytostream similar 6f3a09c2d17b4e58 --store results --count 20

    Example: cytostream similar 6f3a09c2d17b4e58 --class blast --since 2026-01-01
    """
    require_store(store)
    if index:
        index_finished(store)
    wanted = None
    if slide or since or until:
        first = since.date() if since else date.min
        last = until.date() if until else date.max
        wanted = slides_between(store, slide, first, last)
    found = like_cells(store, cell, count, label, wanted)
    if as_json:
        for one in found:
            typer.echo(json.dumps(asdict(one)))
    else:
        screen.print(likeness_table(found))


def index_finished(store: Path) -> None:
    """Adds the finished slides of a store to its index."""
    from stream.review import FINISHED

    queries = SlideQueries(store / "state.db", unwritable="read")
    try:
        states = queries.slide_states()
    finally:
        queries.close()
    finished = [slide_id for slide_id, (status, _) in states.items() if status in FINISHED]
    count = index_store(store, finished)
    print_error(f"the index has {count} cells", word="note")


def likeness_table(found: Iterable[LikeCell]) -> Table:
    """One row a cell, in the order given."""
    table = Table("distance", "slide", "cell", "class")
    for one in found:
        table.add_row(f"{one.distance:.4f}", one.slide_id, one.cell_id, one.label)
    return table
