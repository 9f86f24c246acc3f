"""Settings of red cells and platelets."""

from pydantic import Field

from stream.events import Severity

from .section import Section


class RedCells(Section):
    """Red cells and platelets of the sampled fields."""

    judged: int = Field(
        1000,
        ge=0,
        description="red cells of a slide that are classified; 0: none. Schistocytes are counted "
        "among 1,000 at the least (ICSH, Zini et al. 2021)",
    )
    normal_diameter_um: tuple[float, float] = Field(
        (6.7, 7.7), description="of normal red cells on the laboratory's smears; the page shows it"
    )
    schistocytes_from: float = Field(
        1.0,
        gt=0,
        description="per cent of red cells from which schistocytes are an alert: more suggests "
        "a thrombotic microangiopathy (ICSH, Zini et al. 2021)",
    )
    schistocytes_severity: Severity = Field("urgent", description="of that alert")
    schistocytes_by_error: float = Field(
        2.0,
        ge=0,
        lt=100,
        description="per cent of other red cells that are called schistocytes; chosen, compare "
        "with `cytostream classify chula-rbc/val --model red --mpp 0.19`",
    )
    spherocytes_from: float = Field(
        5.0,
        gt=0,
        description="per cent of red cells from which spherocytes are an alert: grade 2 (ICSH, "
        "Palmer et al. 2015)",
    )
    spherocytes_severity: Severity = Field("warning", description="of that alert")
    spherocytes_by_error: float = Field(
        2.0,
        ge=0,
        lt=100,
        description="per cent of other red cells that are called spherocytes; chosen, as above",
    )
    platelet_factor: float = Field(
        15e9, gt=0, description="platelets per litre for each in a field of a 100x objective"
    )
    white_factor: float = Field(
        10e9, gt=0, description="white cells per litre for each in a field of a 100x objective"
    )
