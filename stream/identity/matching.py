"""From what the sources state to one identity. Where they differ, or fit several orders, nothing is
chosen: the slide is held until a person decides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from .claims import Claim, ClaimSource
from .specimen import CODE_FIELDS, FIELDS, Identity

IdentityStatus = Literal["unknown", "identified", "matched", "conflict", "signed"]
Demand = Literal["none", "accession", "order"]


@dataclass(frozen=True, slots=True)
class Order:
    """An order of the worklist; a cancelled one fits no slide. `number` is its place there, 0 for
    one that is not there yet; a change stands in place of all that has its order number.
    """

    identity: Identity
    state: Literal["open", "cancelled"] = "open"
    source: str = ""
    number: int = 0
    is_change: bool = False

    def codes(self, kind: str) -> set[str]:
        """The values by which a code of this kind finds the order: a barcode stands for any."""
        own = self.identity
        names = CODE_FIELDS if kind == "barcode" else (kind,)
        return {getattr(own, name) for name in names} - {""}


@dataclass(frozen=True, slots=True)
class Resolution:
    """`matched`: exactly one order of the worklist fits; `identified`: a code is known, and no
    order; `signed`: as it was signed for; `conflict`: see `problems`, `identity` has what is
    undisputed, `candidates` are the orders in question.
    """

    status: IdentityStatus
    identity: Identity
    problems: tuple[str, ...] = ()
    candidates: tuple[Order, ...] = ()
    claims: tuple[Claim, ...] = ()


def resolve(
    claims: Sequence[Claim], orders: Iterable[Order], stated: Identity | None = None
) -> Resolution:
    """The identity that all claims agree on, completed by the order that fits. What a person has
    stated stands in place of all other claims.
    """
    taken = [Claim("person", stated)] if stated is not None else list(claims)
    own, problems = _merged(taken)
    if problems:
        fitting = [one for claim in taken for one in _fitting(claim.identity, orders)[0]]
        return Resolution("conflict", own, problems, _distinct(fitting), tuple(taken))
    found, problem = _fitting(own, orders)
    if problem:
        return Resolution("conflict", own, (problem,), tuple(found), tuple(taken))
    if not found:
        known = any(getattr(own, name) for name in CODE_FIELDS)
        return Resolution("identified" if known else "unknown", own, claims=tuple(taken))
    taken += [Claim("worklist", order.identity) for order in found]
    merged, differences = _merged(taken)
    if differences:
        return Resolution("conflict", own, differences, tuple(found), tuple(taken))
    return Resolution("matched", merged, candidates=tuple(found), claims=tuple(taken))


def is_sufficient(found: Resolution, demand: Demand) -> str:
    """What prevents a signature, in a sentence; empty where nothing does."""
    if found.status == "conflict":
        return f"whose slide it is is not settled: {'; '.join(found.problems)}"
    if demand == "accession" and not found.identity.accession:
        return "the slide has no accession number"
    if demand == "order" and found.status != "matched":
        return "no order of the worklist fits the slide"
    return ""


def _merged(claims: Iterable[Claim]) -> tuple[Identity, tuple[str, ...]]:
    """The fields that all agree on, and a sentence a field that they differ in."""
    values: dict[str, dict[str, list[ClaimSource]]] = {name: {} for name in FIELDS}
    for claim in claims:
        for name, value in claim.identity.known().items():
            values[name].setdefault(value, []).append(claim.source)
    agreed = {name: next(iter(found)) for name, found in values.items() if len(found) == 1}
    problems = tuple(
        f"{name.replace('_', ' ')} is "
        + ", ".join(f"{value} by {' and '.join(dict.fromkeys(by))}" for value, by in found.items())
        for name, found in values.items()
        if len(found) > 1
    )
    return Identity(**agreed), problems


def _fitting(own: Identity, orders: Iterable[Order]) -> tuple[list[Order], str]:
    """The order that all known codes lead to; several and a sentence where that is not clear."""
    live = [order for order in orders if order.state == "open"]
    by_code: dict[str, list[Order]] = {}
    for name in CODE_FIELDS:
        value = getattr(own, name)
        if value and (hits := [order for order in live if value in order.codes(name)]):
            by_code[name] = hits
    if not by_code:
        return [], ""
    common = [order for order in live if all(order in hits for hits in by_code.values())]
    if not common:
        return [*_distinct(order for hits in by_code.values() for order in hits)], (
            f"{' and '.join(by_code)} belong to different orders"
        )
    if len(common) > 1:
        return common, f"{len(common)} orders fit"
    return common, ""


def _distinct(orders: Iterable[Order]) -> tuple[Order, ...]:
    return tuple(dict.fromkeys(orders))
