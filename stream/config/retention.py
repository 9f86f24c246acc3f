"""Settings of what `cytostream retention` removes, and when."""

from pydantic import Field

from .section import Section


class RetentionSettings(Section):
    """Days after the signature; 0 keeps for ever. Entries of the audit trail always stay."""

    pixels_days: float = Field(0.0, ge=0, description="images of cells in the store")
    results_days: float = Field(0.0, ge=0, description="all results of a slide")
    identities_days: float = Field(0.0, ge=0, description="whose slide it is")
    signed_only: bool = Field(
        True, description="false: also slides that nobody has signed, from the end of their run"
    )
