"""The models of a store as people see them."""

from dataclasses import dataclass
from pathlib import Path

from classify import SHORT_NAMES, ModelLibrary, kind_of, read_card
from ingest import CytostreamError


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is listed of a model: `kind` is white or red, `origin` shipped, imported or a folder,
    `was_before` where it is what `back` leads to; `fault` is why it cannot be used.
    """

    name: str
    kind: str = ""
    model_id: str = ""
    origin: str = "imported"
    is_in_use: bool = False
    is_shadow: bool = False
    was_before: bool = False
    chosen_by: str = ""
    chosen_at: str = ""
    fault: str = ""


def list_models(library: ModelLibrary, shadow: str = "") -> list[ModelFacts]:
    """All models of a store; `shadow` is the second one of the configuration.

    Raises:
        ModelError: which are in use cannot be read.
    """
    names = [*SHORT_NAMES, *library.names()]
    if shadow and shadow not in names:
        names.append(shadow)
    return [model_facts(library, name, shadow) for name in names]


def model_facts(library: ModelLibrary, name: str, shadow: str) -> ModelFacts:
    """What is listed of one model."""
    imported = "imported" if name in library.names() else "a folder"
    origin = "shipped" if name in SHORT_NAMES else imported
    is_shadow = name == shadow
    try:
        card = read_card(library.find(name))
    except CytostreamError as error:
        return ModelFacts(name, origin=origin, is_shadow=is_shadow, fault=error.what)
    kind = kind_of(card)
    past = library.in_use().of(kind) or (library.first(kind),)
    used = past[-1]
    is_in_use = used.name == name
    return ModelFacts(
        name,
        kind,
        card.model_id,
        origin,
        is_in_use,
        is_shadow or (bool(shadow) and library.find(name) == Path(shadow)),
        len(past) > 1 and past[-2].name == name and not is_in_use,
        used.by if is_in_use else "",
        used.at if is_in_use else "",
    )
