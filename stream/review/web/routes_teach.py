"""Classes that the laboratory teaches: named, marked on cells, taught, and switched on."""

from typing import Annotated

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, StringConstraints

from classify import CLASS_NAME, DataError, ModelError, load_model
from classify.teaching import TaughtClass
from stream.review.slides import SlideLibrary
from stream.review.store_lessons import marked_counts, teach_from_store

from .dependencies import CHANGES, REFUSALS, Having, Reviewing, Viewing

teach_router = APIRouter(prefix="/api/taught", responses=REFUSALS)
TaughtName = Annotated[str, StringConstraints(pattern=f"^{CLASS_NAME}$", max_length=64)]
READ_ONLY = "this store can only be read"


class TaughtSays(BaseModel):
    """A class of the laboratory: cells that people have called so and on how many slides, and where
    it was taught, the figures of its newest version, measured on slides that were held out.
    """

    name: str
    marked_cells: int
    marked_slides: int
    is_on: bool
    version: int = 0
    by: str = ""
    at: str = ""
    cells: int = 0
    slides: int = 0
    held_out_by: str = ""
    sensitivity: float | None = None
    sensitivity_interval: tuple[float, float] | None = None
    false_rate: float | None = None
    false_rate_interval: tuple[float, float] | None = None
    warnings: list[str] = []


class NewClass(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: TaughtName


class Switch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    on: bool


def taught_says(library: SlideLibrary) -> list[TaughtSays]:
    marked = marked_counts(library)
    newest = library.taught.newest()
    found = []
    for name in library.taught.names():
        cells, slides = marked.get(name, (0, 0))
        about = expected_figures(newest[name]) if name in newest else {}
        is_on = name in newest and not library.taught.is_disabled(name)
        found.append(
            TaughtSays(name=name, marked_cells=cells, marked_slides=slides, is_on=is_on, **about)
        )
    return found


def expected_figures(taught: TaughtClass) -> dict[str, object]:
    expected = taught.expected
    return {
        "version": taught.version,
        "by": taught.by,
        "at": taught.at,
        "cells": len(taught.cells),
        "slides": taught.patients,
        "held_out_by": expected.by,
        "sensitivity": expected.sensitivity,
        "sensitivity_interval": expected.sensitivity_interval,
        "false_rate": expected.false_rate,
        "false_rate_interval": expected.false_rate_interval,
        "warnings": list(taught.warnings),
    }


@teach_router.get("")
def taught_classes(parts: Having, person: Viewing) -> list[TaughtSays]:
    """The classes of the laboratory."""
    return taught_says(parts.library)


@teach_router.post("", responses=CHANGES)
def new_class(wish: NewClass, person: Reviewing, parts: Having) -> list[TaughtSays]:
    """Makes a class known, so that cells can be called so."""
    writable(parts.library)
    if wish.name == "unidentified":
        raise HTTPException(400, "unidentified is no class")
    parts.library.taught.draft(wish.name)
    return taught_says(parts.library)


@teach_router.post("/{name}/lesson", responses=CHANGES)
def give_lesson(name: TaughtName, person: Reviewing, parts: Having) -> list[TaughtSays]:
    """Teaches a class from the cells that people have called so; it stays off until it is
    switched on.
    """
    writable(parts.library)
    try:
        model = load_model(parts.reasons.folder)
        taught = teach_from_store(parts.library, model, name, person.name)
    except (DataError, ModelError) as error:
        raise HTTPException(400, f"{error.what}: {error.hint}") from error
    parts.library.taught.add(taught)
    parts.library.taught.switch(name, on=False)
    return taught_says(parts.library)


@teach_router.post("/{name}/switch", responses=CHANGES)
def switch(name: TaughtName, wish: Switch, person: Reviewing, parts: Having) -> list[TaughtSays]:
    """Uses a taught class from the next run on, or no longer."""
    writable(parts.library)
    try:
        parts.library.taught.switch(name, wish.on)
    except DataError as error:
        raise HTTPException(404, error.what) from error
    return taught_says(parts.library)


def writable(library: SlideLibrary) -> None:
    if library.is_read_only:
        raise HTTPException(423, READ_ONLY)
