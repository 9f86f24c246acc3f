"""What a laboratory has at the head and foot of its reports."""

from dataclasses import dataclass
from pathlib import Path

from ingest import CytostreamError
from stream.config import ReviewSettings


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Lines under the laboratory's name, its logo, and a line at the foot of each page; `paper` is
    A4 or letter.
    """

    address: tuple[str, ...] = ()
    logo: Path | None = None
    foot: str = ""
    paper: str = "A4"


def letterhead_of(settings: ReviewSettings) -> Letterhead:
    """What the config says of head and foot.

    Raises:
        CytostreamError: there is no file of the logo.
    """
    logo = Path(settings.logo).expanduser() if settings.logo else None
    if logo and not logo.is_file():
        raise CytostreamError(f"{logo}: no such logo", "mend review.logo of the configuration")
    return Letterhead(settings.address, logo, settings.report_foot, settings.paper)
