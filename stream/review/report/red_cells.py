"""What a report says of the red cells and platelets of a slide: lines of a table, and sentences."""

from dataclasses import dataclass

# LOINC panel 58408-6, "Erythrocyte morphology panel - Blood", whose terms are presence by light
# microscopy, an ordinal scale
RED_KINDS: dict[str, tuple[str, str]] = {
    "normal": ("Normal red cells", ""),
    "anisocytosis": ("Anisocytosis", "702-1"),
    "poikilocytosis": ("Poikilocytosis", "779-9"),
    "macrocyte": ("Macrocytes", "738-5"),
    "microcyte": ("Microcytes", "741-9"),
    "hypochromic": ("Hypochromic cells", "728-6"),
    "spherocyte": ("Spherocytes", "802-9"),
    "target-cell": ("Target cells", "10381-2"),
    "stomatocyte": ("Stomatocytes", "10380-4"),
    "ovalocyte": ("Ovalocytes", "774-0"),
    "elliptocyte": ("Elliptocytes", "11274-8"),
    "teardrop": ("Teardrop cells", "7791-7"),
    "burr-cell": ("Burr cells", "7790-9"),
    "schistocyte": ("Schistocytes", "800-3"),
}
GRADE_WORDS = ("not graded", "few", "moderate", "many")


@dataclass(frozen=True, slots=True)
class RedLine:
    """A kind of red cells: per cent of those judged, with its 95 % interval, and the grade."""

    name: str
    title: str
    loinc: str
    count: int
    percent: float
    low: float
    high: float
    grade: int

    @property
    def grade_text(self) -> str:
        return f"{self.grade}+" if self.grade else ""


def red_lines(facts: dict) -> list[RedLine]:
    """The kinds of a slide's red cells, in the order of `RED_KINDS`, then those that it lacks; none
    where no red cell was judged.
    """
    kinds = (facts.get("red_cells") or {}).get("kinds") or {}
    names = [*(n for n in RED_KINDS if n in kinds), *(n for n in kinds if n not in RED_KINDS)]
    return [RedLine(name, *RED_KINDS.get(name, (name, "")), **kinds[name]) for name in names]


def red_sentences(facts: dict) -> list[str]:
    """Size, chromia, platelets and white cells of the sampled fields, a sentence each; empty where
    no field was measured.
    """
    red = facts.get("red_cells")
    if not red:
        return []
    mean = red.get("diameter_mean_um") or red["diameter_um"]
    said = [
        f"{red['cells']} red cells in {red['fields']} fields ({red['mm2']:.2f} mm2), "
        f"{red.get('judged') or 0} of them judged.",
        f"Mean diameter {mean:.1f} um, coefficient of variation {100 * red['diameter_cv']:.0f} %; "
        f"central pallor {red['pallor']:.2f} (median).",
    ]
    if red.get("platelets_per_litre") is not None:
        said.append(
            f"Platelets: {red['platelets_per_field']:.1f} a field, about "
            f"{red['platelets_per_litre'] / 1e9:.0f} x 10^9/l; {red['platelet_clumps']} clumps, "
            f"{red['large_platelets']} wider than 4 um. White cells: about "
            f"{red['whites_per_litre'] / 1e9:.1f} x 10^9/l. Estimates from the smear."
        )
    if red.get("anomalous"):
        said.append(f"{red['anomalous']} red cells are unlike all known kinds.")
    return said
