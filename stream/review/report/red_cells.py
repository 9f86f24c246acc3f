"""What a report says of the red cells and platelets of a slide: lines of a table, and sentences."""

from dataclasses import dataclass

from stream.events import JsonObject
from stream.review.red_cells import RED_KINDS

PER_LITRE = "\N{MULTIPLICATION SIGN} 10\N{SUPERSCRIPT NINE}/l"
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


def red_lines(facts: JsonObject) -> list[RedLine]:
    """The kinds of a slide's red cells, in the order of `RED_KINDS`, then those that it lacks; none
    where no red cell was judged.
    """
    kinds = (facts.get("red_cells") or {}).get("kinds") or {}
    names = [*(n for n in RED_KINDS if n in kinds), *(n for n in kinds if n not in RED_KINDS)]
    return [RedLine(name, *RED_KINDS.get(name, (name, "")), **kinds[name]) for name in names]


def red_sentences(facts: JsonObject) -> list[str]:
    """Size, chromia, platelets and white cells of the sampled fields, a sentence each; empty where
    no field was measured.
    """
    red = facts.get("red_cells")
    if not red:
        return []
    mean = red.get("diameter_mean_um") or red["diameter_um"]
    fields = red["fields"]
    said = [
        f"{red['cells']} red cells in {'1 field' if fields == 1 else f'{fields} fields'} "
        f"({red['mm2']:.2f} mm\N{SUPERSCRIPT TWO}), "
        f"{red.get('judged') or 0} of them judged.",
        f"Mean diameter {mean:.1f} \N{MICRO SIGN}m, coefficient of variation "
        f"{100 * red['diameter_cv']:.0f} %; central pallor {red['pallor']:.2f} (median).",
    ]
    if red.get("platelets_per_litre") is not None:
        said.append(
            f"Platelets: {red['platelets_per_field']:.1f} a field, about "
            f"{red['platelets_per_litre'] / 1e9:.0f} {PER_LITRE}; {red['platelet_clumps']} clumps, "
            f"{red['large_platelets']} wider than 4 \N{MICRO SIGN}m. White cells: about "
            f"{red['whites_per_litre'] / 1e9:.1f} {PER_LITRE}. Estimates from the smear."
        )
    if red.get("anomalous"):
        said.append(f"{red['anomalous']} red cells are unlike all known kinds.")
    return said
