"""What an event and the page say of a failure: a code, and one fixed sentence with what to do next.

The texts of readers and of the operating system name files, and those name patients. They stay in
the store (`cytostream failures`) and are never repaired to be sent.
"""

from dataclasses import dataclass

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FixedText:
    """What went wrong, and what to do next; nothing of the file is in it."""

    what: str
    hint: str


FAILURE_TEXTS = {
    "open.unreadable": FixedText(
        "the file is not a slide, or it is damaged", "scan the slide again, or take the file away"
    ),
    "open.unavailable": FixedText(
        "the file cannot be reached now", "is the share mounted? It is tried again"
    ),
    "open.incomplete": FixedText(
        "a file of the slide is missing", "copy the whole slide, with all its files"
    ),
    "open.other_work": FixedText(
        "the store has it under another model, configuration or scale",
        "--again runs it anew as a new version, or choose another --store",
    ),
    "run.unexpected": FixedText(
        "an unexpected error ended the work on the slide", "report it; the log has the details"
    ),
    "survey.unreadable": FixedText(
        "the slide cannot be surveyed", "look at it in a viewer, then scan the slide again"
    ),
    "survey.unavailable": FixedText(
        "the survey of the slide did not end", "it is tried again; raise reading.survey_limit_s"
    ),
    "held.scale": FixedText(
        "held: the size of the red cells contradicts the scale",
        "check the objective, then give the true um per pixel with --mpp-override",
    ),
    "held.content": FixedText(
        "held: it does not look like a stained blood smear",
        "look at it in a viewer; reading.red_cell_um = 0 reads it all the same",
    ),
    "survey.empty": FixedText("nothing stained on the slide", "is it empty, or not a smear?"),
    "tile.unreadable": FixedText("a place of the slide cannot be decoded", "scan the slide again"),
    "tile.unavailable": FixedText(
        "a place of the slide could not be read in time", "it is tried again by the same command"
    ),
    UNKNOWN: FixedText("it could not be read", "see `cytostream failures` on the machine itself"),
}


def text_of(code: str | None) -> FixedText:
    """The sentence of a code; a general one for an unknown code."""
    return FAILURE_TEXTS.get(code or UNKNOWN, FAILURE_TEXTS[UNKNOWN])
