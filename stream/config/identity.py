"""Settings of whose slide it is."""

import re

from pydantic import Field, field_validator

from stream.events import ShareCodes
from stream.identity import CODE_FIELDS, Demand

from .section import Section


class IdentitySettings(Section):
    """Whose slide it is: where its codes are read, and where they go."""

    file_patterns: tuple[str, ...] = Field(
        (),
        description="regular expressions for file names, whose groups are named accession, "
        "container, barcode or order",
    )
    barcode_pattern: str = Field("", description="the same for the whole barcode of a slide")
    demand: Demand = Field(
        "none",
        description="what a signature needs: none, an accession, or an order of the worklist",
    )
    shown: bool = Field(True, description="on the page and on reports")
    in_events: ShareCodes = Field(
        "none", description="codes in events: none, clear, or hashed with the store's secret"
    )
    in_exports: ShareCodes = Field("none", description="the same in tables of cells")

    @field_validator("file_patterns", "barcode_pattern")
    @classmethod
    def _name_codes(cls, given: tuple[str, ...] | str) -> tuple[str, ...] | str:
        for pattern in [given] if isinstance(given, str) else given:
            if pattern and not set(group_names(pattern)) & set(CODE_FIELDS):
                raise ValueError(f"{pattern}: name a group, as (?P<accession>[A-Z][0-9-]+)")
        return given


def group_names(pattern: str) -> list[str]:
    """The names of a regular expression's groups.

    Raises:
        ValueError: it is none.
    """
    try:
        return list(re.compile(pattern).groupindex)
    except re.error as error:
        raise ValueError(f"{pattern}: {error}") from error
