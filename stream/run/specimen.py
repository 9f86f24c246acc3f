"""What a run finds out of whose slide it is, kept beside its results."""

from pathlib import Path

from ingest import Slide
from stream.events import Event, with_specimen
from stream.identity import Claim, claims_of_codes, claims_of_name, identity_of_body

from .context import RunContext


def keep_claims(lab: RunContext, slide: Slide, path: Path, announced: str | None) -> None:
    """Keeps what the file, its name and whoever announced it state; that of an earlier run is
    replaced.
    """
    rules = lab.config.identity
    stated = {
        ("slide", ""): claims_of_codes(slide.codes, rules.barcode_pattern),
        ("name", str(path)): claims_of_name(path, rules.file_patterns),
    }
    if announced:
        stated["intake", str(path)] = [Claim("intake", identity_of_body(announced))]
    with lab.outbox.transaction() as tx:
        for (source, place), claims in stated.items():
            tx.set_claims(slide.slide_id, source, place, claims)


def with_codes(lab: RunContext, event: Event) -> Event:
    """The event of a slide with the codes of its specimen, as far as the config lets them out."""
    if lab.stamp.share_codes == "none":
        return event
    found = lab.outbox.resolution(event.subject)
    return with_specimen(event, found.identity.codes(), lab.stamp)
