"""What every request may need: made once by the application, handed to routes, and the ids
that a path may hold.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Path, Request

from stream.config import Config
from stream.events import AccessAction, Provenance
from stream.http import Bucket, Tries
from stream.review.compare import LookAlikes
from stream.review.decisions import DecisionService
from stream.review.images import Atlas, Crops, Reasons, Viewer
from stream.review.slides import SlideLibrary, SlideView
from stream.review.texts import Language, accepted_language
from stream.review.worklist import WorklistView

from .accounts import Person
from .auth import Authenticator, DoorError, need
from .exports import Exports
from .live_updates import Hub

ID = r"^[0-9a-f]{8,64}$"
SlideId = Annotated[str, Path(pattern=ID, description="digest of the slide's content")]
CellId = Annotated[str, Path(pattern=ID)]
Viewing = Annotated[Person, Depends(need("viewer"))]
Reviewing = Annotated[Person, Depends(need("reviewer"))]
Administering = Annotated[Person, Depends(need("admin"))]
RouteResponses = dict[int | str, dict[str, Any]]  # as FastAPI takes them
REFUSALS: RouteResponses = {
    400: {"description": "cannot be done as asked"},
    401: {"description": "nobody is signed in"},
    403: {"description": "not allowed"},
    404: {"description": "no such slide, cell or version"},
    429: {"description": "too many requests"},
}
CHANGES: RouteResponses = {
    **REFUSALS,
    409: {"description": "somebody was faster, or it is too early"},
    413: {"description": "too large"},
    423: {"description": "signed and locked"},
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that the routes use."""

    config: Config
    library: SlideLibrary
    board: WorklistView
    desk: DecisionService
    crops: Crops
    viewer: Viewer
    reasons: Reasons
    hub: Hub
    doors: Authenticator
    logins: Tries
    signatures: Bucket
    exports: Exports
    stamp: Provenance
    look_alikes: LookAlikes
    atlas: Atlas

    def note(
        self, action: AccessAction, account: str, by: str, address: str, subject: str = ""
    ) -> None:
        """Writes a login or its like into the audit trail; `subject` is who it is at a provider."""
        self.library.trail.note(action, account, by, self.stamp, address=address, subject=subject)

    def close(self) -> None:
        """Lets go of what the parts opened themselves."""
        self.reasons.close()
        self.exports.close()
        self.hub.forget()


def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


Having = Annotated[Parts, Depends(parts_of)]


def shelf_of(slide_id: SlideId, parts: Having, person: Viewing) -> SlideView:
    """The slide of a path; the person is asked for first, so that a stranger does not learn which
    slides there are.

    Raises:
        HTTPException: 404, there is none.
    """
    if slide_id not in parts.library:
        raise HTTPException(404, "no such slide")
    return parts.library.shelf(slide_id)


Shelf = Annotated[SlideView, Depends(shelf_of)]


def language_of(request: Request, parts: Parts) -> Language:
    """The language that the person has chosen, else the browser's, else the laboratory's."""
    chosen = None
    with suppress(DoorError):
        chosen = parts.doors.accounts.preferences(parts.doors.person(request).name).language
    accepted = accepted_language(request.headers.get("accept-language", ""))
    return chosen or accepted or parts.config.review.language
