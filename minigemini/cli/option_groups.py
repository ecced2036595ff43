"""Options that several verbs share as a dataclass: a parameter of that type becomes one option per field."""

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from typing import Any, get_type_hints


def expand(verb: Callable[..., None]) -> Callable[..., None]:
    """Replace each dataclass parameter of a verb by its fields, so that typer sees ordinary options.

    A field is declared like a parameter: `Annotated[type, typer.Option(…)] = default`.
    """
    hints = get_type_hints(verb, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[Parameter] = []
    for name, parameter in signature(verb).parameters.items():
        expanded = _field_parameters(groups[name]) if name in groups else [parameter.replace(annotation=hints[name])]
        parameters += [each.replace(kind=Parameter.KEYWORD_ONLY) for each in expanded]

    @wraps(verb)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        verb(**values)

    run.__signature__ = signature(verb).replace(parameters=parameters)  # type: ignore[attr-defined]
    return run


def _field_parameters(group: Any) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
