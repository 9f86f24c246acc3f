"""`cytostream shadow`: what a second model says of the same cells, beside the one that counts."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ingest import CytostreamError
from stream.cli.console import print_error, screen, track
from stream.cli.options import RESULTS, ConfigOption, EngineOption
from stream.cli.session import open_station, require_store, shadow_model
from stream.config import Config, load_config
from stream.run import judge_again

if TYPE_CHECKING:
    from stream.review.models import ShadowReport

ALL_TRIES = 1 << 30
MOST_ROWS = 20


def shadow(
    store: Annotated[Path, typer.Argument(help="A store of results.")] = RESULTS,
    model: Annotated[
        str, typer.Option(help="Name or id of the second model; the one used last without one.")
    ] = "",
    judge: Annotated[
        str, typer.Option(help="First judge the slides that are read by this model, or folder.")
    ] = "",
    slides: Annotated[int, typer.Option(min=1, help="The last so many slides.")] = 500,
    cells: Annotated[int, typer.Option(min=1, help="How many differing cells are shown.")] = 200,
    out: Annotated[
        Path | None, typer.Option(help="Write the report as a page with pictures (.html).")
    ] = None,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write the comparison as JSON.")
    ] = None,
    engine: EngineOption = "auto",
    config: ConfigOption = None,
) -> None:
    """Compare a second model with the one that counts, cell by cell: confusion, alerts gained and
    lost, the cells that differ, and agreement with what people decided. Its verdicts come from runs
    with --shadow, or from --judge.

    Example: cytostream shadow results --judge spring --out shadow.html

    Then: cytostream models use spring --store results
    """
    settings = load_config(config)
    if judge:
        count = judged_slides_again(store, settings, judge, engine, slides)
        screen.print(f"{count} slides judged by {judge}")
    report = shadow_report(store, settings, model or judge, (slides, cells), (out, json_out))
    show_report(report)


def judged_slides_again(
    store: Path, settings: Config, name: str, engine: str, most_slides: int
) -> int:
    """Judges the last finished slides of a store by a second model; returns how many it had not
    judged yet.

    Raises:
        CytostreamError: there is no store, or the model cannot be read or run.
    """
    from stream.review import FINISHED

    require_store(store)
    with open_station(store, settings, ("none",)) as station:
        second = shadow_model(station, name, engine)
        outbox = station.outbox
        done = [one for one in outbox.slide_ids() if outbox.status(one) in FINISHED]
        done.sort(key=lambda slide_id: str(outbox.facts(slide_id).get("at", "")), reverse=True)
        chosen = done[:most_slides]
        count = 0
        for slide_id in track(chosen, f"judging by {name}", len(chosen)):
            try:
                rules = settings.alerts
                count += judge_again(second, outbox, store, slide_id, rules, ALL_TRIES)
            except CytostreamError as error:
                print_error(f"slide {slide_id}: {error.what}", error.hint, "left out")
        return count


def shadow_report(
    store: Path,
    settings: Config,
    wanted: str,
    most: tuple[int, int],
    files: tuple[Path | None, Path | None],
) -> "ShadowReport":
    """The comparison of the last `most` slides and cells; written to `files`, a page and JSON,
    where they are named.

    Raises:
        CytostreamError: there is no store, or no slide that the model has judged.
    """
    from stream.review import SlideLibrary, custody_folder
    from stream.review.models import compare_shadow, report_facts, shadows_of
    from stream.review.web import shadow_page

    require_store(store)
    custody = custody_folder(settings.review.audit_folder)
    with SlideLibrary(store, settings, custody) as library:
        known = shadows_of(library)
        fits = [one for one in known if wanted in ("", one.name, one.model_id)]
        if not fits:
            names = ", ".join(f"{one.name} ({one.model_id})" for one in known) or "none"
            raise CytostreamError(
                f"{store}: no slide that {wanted or 'a second model'} has judged",
                f"there are: {names}; run with --shadow, or `cytostream shadow {store} --judge`",
            )
        report = compare_shadow(library, fits[0].model_id, most_slides=most[0], most_cells=most[1])
        page, facts = files
        if facts:
            facts.write_text(json.dumps(report_facts(report), indent=1) + "\n")
        if page:
            page.write_text(shadow_page(library, report))
        return report


def show_report(report: "ShadowReport") -> None:
    """The comparison in the terminal."""
    for part in report_parts(report):
        screen.print(part)


def report_parts(report: "ShadowReport") -> Iterator[str | Table]:
    """What is shown of a comparison, in order."""
    counted = ", ".join(report.counted_models)
    share = 100 * report.differ / max(1, report.cells)
    yield (
        f"{report.name} ({report.model_id}) beside {counted}: {len(report.slides)} slides, "
        f"{report.cells} cells, {report.differ} called otherwise ({share:.1f} %)"
    )
    yield confusion_table("parent classes", report.parent_confusion)
    yield confusion_table("classes", report.confusion)
    changed = [one for one in report.slides if not one.is_none]
    if changed:
        yield alerts_table(report)
    else:
        yield "both raise the same alerts on every slide"
    people = report.people
    if people.decided:
        yield (
            f"of {people.decided} cells that people decided on (who saw the label that counts): "
            f"the counted model agrees on {people.counted}, the second on {people.shadow}; "
            f"the counted alone {people.counted_alone}, the second alone {people.shadow_alone}"
        )


def confusion_table(title: str, confusion: Counter[tuple[str, str]]) -> Table:
    """The pairs of classes between which cells moved, most first."""
    moved = [(pair, count) for pair, count in confusion.most_common() if pair[0] != pair[1]]
    same = sum(confusion.values()) - sum(count for _, count in moved)
    table = Table("counted", "second", "cells", title=f"{title}: {same} the same")
    for (old, new), count in moved[:MOST_ROWS]:
        table.add_row(old, new, str(count))
    return table


def alerts_table(report: "ShadowReport") -> Table:
    """Alerts that a slide has under one model alone."""
    table = Table("slide", "cells", "differ", "alerts gained", "alerts lost")
    for one in [one for one in report.slides if not one.is_none][:MOST_ROWS]:
        gained = [*one.slide_gained, *(f"{rule} {n}" for rule, n in one.gained.items())]
        lost = [*one.slide_lost, *(f"{rule} {n}" for rule, n in one.lost.items())]
        counts = str(one.cells), str(one.differ)
        table.add_row(one.slide_id, *counts, ", ".join(gained), ", ".join(lost))
    return table
