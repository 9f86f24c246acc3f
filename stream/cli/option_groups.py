"""Options that commands share, as one parameter: a dataclass whose fields are the options."""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from typing import Any, get_type_hints


def spread_groups(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with the fields of every dataclass among its parameters in its place: Typer reads
    the options off a signature.
    """
    stated = signature(command, eval_str=True)
    groups = {
        name: parameter.annotation
        for name, parameter in stated.parameters.items()
        if isinstance(parameter.annotation, type) and is_dataclass(parameter.annotation)
    }

    @wraps(command)
    def called(**values: object) -> object:
        for name, group in groups.items():
            values[name] = group(**{one.name: values.pop(one.name) for one in fields(group)})
        return command(**values)

    spread = [one for parameter in stated.parameters.values() for one in options_of(parameter)]
    called.__signature__ = stated.replace(parameters=spread)  # type: ignore[attr-defined]
    return called


def options_of(parameter: Parameter) -> Iterator[Parameter]:
    """The parameter by its name, or the fields of its dataclass."""
    group = parameter.annotation
    if not is_dataclass(group):
        yield parameter.replace(kind=Parameter.KEYWORD_ONLY)
        return
    hints = get_type_hints(group, include_extras=True)
    for one in fields(group):
        yield Parameter(
            one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name]
        )
