"""`cytostream backup`, `restore`, `retention` and `patient`: what is kept, for how long, and given
back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ingest import CytostreamError
from stream.cli.console import screen
from stream.cli.options import RESULTS, ConfigOption, StoreOption
from stream.config import Config, load_config
from stream.events import Provenance

if TYPE_CHECKING:
    from stream.keeping import BackupResult, PatientSlide, RestoreResult
    from stream.review import SlideLibrary

patient_app = typer.Typer(
    help="Hand out or remove all that a store has of one patient.", no_args_is_help=True
)
PatientArgument = Annotated[str, typer.Argument(help="Id of the patient, as orders have it.")]
AtOption = Annotated[
    str, typer.Option("--at", help="Which one, by the beginning of its name; the last one.")
]


def backup(
    store: StoreOption = RESULTS,
    out: Annotated[Path, typer.Option(help="Folder of the backups, on another disk.")] = Path(
        "cytostream-backup"
    ),
) -> None:
    """Keep a store as it is now, also while it is used. The same folder takes one backup after
    another: what is there is not copied again, and an interrupted one goes on.

    Keys of the audit trail lie outside the store (review.audit_folder): keep them apart.

    Example: cytostream backup --store results --out /backup/results
    """
    kept = kept_store(store, out)
    screen.print(f"{kept.files} files, {kept.new_bytes / 1e6:.1f} MB of them new: {kept.manifest}")


def kept_store(store: Path, out: Path) -> "BackupResult":
    """A new backup of a store.

    Raises:
        CytostreamError: there is no store, or the folder cannot be written to.
    """
    from stream.keeping import back_up

    with screen.status("copying"):
        return back_up(store, out)


def restore_store(
    backup: Annotated[Path, typer.Argument(help="Folder of the backups.")],
    store: Annotated[Path, typer.Option(help="A new folder.")] = RESULTS,
    at: AtOption = "",
    check: Annotated[
        bool, typer.Option("--check", help="Only compare the backup with its digests.")
    ] = False,
) -> None:
    """Make a store out of a backup. The same command goes on where it was interrupted.

    A restored store goes on in place of the original: the two must not send side by side.

    Example: cytostream restore /backup/results --store results
    """
    found = checked_backup(backup, at) if check else restored_store(backup, store, at)
    where = "each as it was kept" if check else f"in {store}"
    screen.print(f"{found.files} files of {found.made}, {where}")


def checked_backup(backup: Path, at: str) -> "RestoreResult":
    """A backup whose files are those that were kept.

    Raises:
        CytostreamError: there is none, or a file of it is not as it was kept.
    """
    from stream.keeping import check_backup

    with screen.status("reading"):
        return check_backup(backup, at)


def restored_store(backup: Path, store: Path, at: str) -> "RestoreResult":
    """The backup that a store was made of.

    Raises:
        CytostreamError: there is none, a file of it is not as it was kept, or the store is there.
    """
    from stream.keeping import restore

    with screen.status("reading"):
        return restore(backup, store, at)


def retention(
    store: StoreOption = RESULTS,
    config: ConfigOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
) -> None:
    """Remove what the rules of the configuration ([retention]) say is to go: images of cells,
    results, identities. Each removal is an entry of the audit trail.

    Example: cytostream retention --store results --config lab.toml --dry-run
    """
    due, removed = remove_due(store, load_config(config), dry_run)
    if removed is None:
        screen.print(f"{due} parts would be removed")
    else:
        screen.print(f"{removed} parts removed; backups that were made before still have them")


def remove_due(store: Path, settings: Config, dry_run: bool) -> tuple[int, int | None]:
    """Removes what is due by the rules, each part shown; how many parts are due, and how many were
    removed (None: nothing was to be).

    Raises:
        CytostreamError: there is no store, or a part cannot be removed.
    """
    from stream.keeping import apply_retention, due_removals
    from stream.review.web import local_name

    with library_of(store, settings) as library:
        due = list(due_removals(library, settings.retention, datetime.now(UTC)))
        for one in due:
            screen.print(f"{one.slide_id}: {one.part}, finished {one.since:%Y-%m-%d}")
        if dry_run:
            return len(due), None
        stamp = Provenance(settings.source)
        return len(due), apply_retention(library, due, local_name(), stamp)


@patient_app.command("export")
def export_of_patient(
    patient_id: PatientArgument,
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    store: StoreOption = RESULTS,
    config: ConfigOption = None,
) -> None:
    """Write orders, reports, cells and audit entries of one patient into a folder.

    Example: cytostream patient export P-1070 --out P-1070 --store results
    """
    written = write_patient(store, load_config(config), patient_id, out)
    screen.print(f"{written} files in {out}")


def write_patient(store: Path, settings: Config, patient_id: str, out: Path) -> int:
    """Writes all that a store has of a patient, and says how many files.

    Raises:
        CytostreamError: there is no store or no such patient, or a file cannot be written.
    """
    from stream.keeping import export_patient

    with library_of(store, settings) as library:
        try:
            return len(export_patient(library, patient_id, out))
        except OSError as error:
            raise CytostreamError(f"{out}: {error.strerror}", "choose another --out") from error


@patient_app.command("remove")
def remove_of_patient(
    patient_id: PatientArgument,
    reason: Annotated[str, typer.Option(help="For the audit trail; name nobody.")],
    store: StoreOption = RESULTS,
    config: ConfigOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove the results, identities and orders of one patient. The audit trail keeps that it was
    done, by whom and why, and names nobody. Slides whose identity is not settled stay.

    Example: cytostream patient remove P-1070 --reason "request of 2026-11-27" --store results
    """
    settings = load_config(config)
    slides = known_slides(store, settings, patient_id)
    for slide in slides:
        screen.print(f"{slide.slide_id}: {'' if slide.is_sure else 'not settled, stays'}")
    sure = [slide for slide in slides if slide.is_sure]
    if not yes and not typer.confirm(f"remove {len(sure)} slides for good?"):
        raise typer.Exit(1)
    for path in remove_slides(store, settings, sure, patient_id, reason):
        screen.print(f"the scanner's file stays: {path}")
    screen.print(f"{len(sure)} slides removed; backups that were made before still have them")
    if len(sure) < len(slides):
        raise typer.Exit(1)


def known_slides(store: Path, settings: Config, patient_id: str) -> "list[PatientSlide]":
    """The slides of a patient, and whether that is settled."""
    from stream.keeping import slides_of_patient

    with library_of(store, settings) as library:
        return slides_of_patient(library, patient_id)


def remove_slides(
    store: Path, settings: Config, slides: "list[PatientSlide]", patient_id: str, reason: str
) -> list[str]:
    """Removes slides and orders of a patient; the files of the scanner, which stay."""
    from stream.keeping import remove_patient
    from stream.review.web import local_name

    with library_of(store, settings) as library:
        return remove_patient(library, slides, patient_id, local_name(), reason)


@contextmanager
def library_of(store: Path, settings: Config) -> Iterator["SlideLibrary"]:
    """The slides of a store that is there, with the keys of its audit trail."""
    from stream.review import SlideLibrary, custody_folder
    from stream.store import has_state

    if not has_state(store):
        raise CytostreamError(f"{store}: no store here", "name it with --store")
    with SlideLibrary(store, settings, custody_folder(settings.review.audit_folder)) as library:
        yield library
