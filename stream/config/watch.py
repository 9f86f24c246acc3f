"""Settings of a watched folder."""

from pydantic import Field

from .section import Section


class WatchSettings(Section):
    look_s: float = Field(2.0, gt=0, description="between two looks at the folder")
    still_looks: int = Field(2, ge=1, description="looks over which a file must not change")
    marker: str = Field(
        ".done", min_length=2, description="a file with this ending says that its slide is whole"
    )
    need_marker: bool = False
    stat: tuple[str, ...] = Field(("stat/*", "*_STAT.*"), description="slides that go first")
    ignore: tuple[str, ...] = (
        ".*",
        "~*",
        "*.tmp",
        "*.part",
        "*.partial",
        "*.crdownload",
        "*.filepart",
    )
    fields: tuple[str, ...] = Field(
        ("*.fields",), description="folders of fields of view, read while they fill"
    )
    hosts: tuple[str, ...] = Field(
        (), description="further names of this machine, under which its HTTP interface is called"
    )
    quarantine: str = Field(
        "quarantine", description="folder for broken ones, in the watched one; empty leaves them"
    )
