"""Reads recipes from YAML files, complete or derived from a named recipe, and writes recipes as YAML.

Values are parsed as on the command line, by the type of the field, so both give the same errors. The `recipe.json` of a
run is such a file too, because JSON is YAML.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from .recipe import DataPart, Recipe
from .recipe_registry import all_recipes, find_recipe, pipelines
from .settings import RecipeError, RunSettings, current_names, parse_value

SUFFIXES = (".yaml", ".yml", ".json")
SAVED = "recipe.json"
"""File name of the recipe in a run's folder."""
_PARENT_KEY = "recipe"
"""Key of the recipe to derive from. (`base` is the checkpoint that training starts from.)"""
_NAME = re.compile(r"\w[\w.+-]*")


def is_recipe_file(name: str) -> bool:
    """Whether a name is that of a recipe file, by its suffix."""
    return name.endswith(SUFFIXES)


def read_recipe(path: Path) -> RunSettings:
    """Read a recipe file.

    Raises:
        RecipeError: The file is missing or invalid; the message names file, key, value and what is expected.
    """
    try:
        return _recipe(_load(path), path.stem)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def as_yaml(recipe: RunSettings) -> str:
    """Write a recipe with all settings as YAML, from which `read_recipe` restores it."""
    names = [name for name, _ in recipe.words()]
    values = {name: _plain(getattr(recipe, name)) for name in names}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


class _Loader(yaml.SafeLoader):
    """Rejects duplicate keys, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if duplicates := [key for key in keys if keys.count(key) > 1]:
            raise RecipeError(f"{duplicates[0]} is given twice; give it once")
        return super().construct_mapping(node, deep)


def _load(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise RecipeError("no such file; check the path, or name a recipe of `minigemini train --list`") from None
    except OSError as error:
        raise RecipeError(f"cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, TypeError) as error:
        raise RecipeError(f"not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise RecipeError("not a recipe; write one `key: value` a line, e.g. learning_rate: 1e-5")
    return values


def _recipe(values: dict[str, Any], usual_name: str) -> RunSettings:
    values = current_names(values)
    name = values.pop("name", usual_name)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RecipeError(
            f"name is {name!r}; use letters, digits, '.', '_', '+' and '-', because it names the run's folder"
        )
    derived = values.pop(_PARENT_KEY, None)
    if derived is not None:
        return _derive(_find_parent(derived), name, values)
    kinds: dict[type[RunSettings], None] = dict.fromkeys((Recipe, *map(type, all_recipes().values())))
    kind = next((kind for kind in kinds if kind.KIND_KEY in values), None)
    if kind is None:
        raise RecipeError(f"give {_PARENT_KEY}: NAME to derive from a recipe, or all settings of one")
    hints = _hints(kind)
    _check_keys(values, hints)
    if missing := [f.name for f in fields(kind) if f.default is MISSING and f.name not in {"name", *values}]:
        raise RecipeError(f"missing {', '.join(missing)}; set it, or derive from a recipe with {_PARENT_KEY}: NAME")
    return kind(name=name, **{key: _value(key, hints[key], value) for key, value in values.items()})


def _find_parent(name: Any) -> RunSettings:
    if pipeline := pipelines().get(name):
        raise RecipeError(f"{_PARENT_KEY} is {name!r}, which is several recipes{pipeline.example()}")
    return find_recipe(str(name))


def _derive(recipe: RunSettings, name: str, values: dict[str, Any]) -> RunSettings:
    hints = _hints(type(recipe))
    _check_keys(values, hints)
    lists = {key: value for key, value in values.items() if get_origin(hints[key]) is tuple}
    words = {key: _word(key, hints[key], value) for key, value in values.items() if key not in lists}
    parsed = {key: _value(key, hints[key], value) for key, value in lists.items()}
    return replace(recipe.changed(words), name=name, **parsed)


def _hints(kind: type) -> dict[str, Any]:
    of_all = get_type_hints(kind)
    return {field.name: of_all[field.name] for field in fields(kind)}


def _check_keys(given: Iterable[str], known: Mapping[str, Any], where: str = "setting") -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
            raise RecipeError(f"unknown {where} {key!r}; {hint}")


def _value(key: str, hint: Any, value: Any) -> Any:
    """Convert a YAML value to a field's type."""
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_part(key, part) for part in value)
    return parse_value(key, hint, _word(key, hint, value))


def _part(key: str, value: Any) -> DataPart:
    """One source of samples, as on the command line or as a mapping."""
    if not isinstance(value, dict):
        return DataPart.parse(_word(key, str, value))
    hints = _hints(DataPart)
    _check_keys(value, hints, f"key of {key}")
    if "file" not in value:
        raise RecipeError(f"{key} has no file; give file: FILE")
    return DataPart(**{name: _value(f"{key}.{name}", hints[name], one) for name, one in value.items()})


def _word(key: str, hint: Any, value: Any) -> str:
    """A value in command-line form."""
    kinds = (hint, *get_args(hint))
    is_text = str in kinds or get_origin(hint) is tuple
    if isinstance(value, str):
        return value
    if value is None and type(None) in kinds:
        return "none"
    if isinstance(value, bool) and not is_text:
        return str(value).lower()
    if isinstance(value, int | float) and not is_text:
        return repr(value)
    expected = "a list of sources" if get_origin(hint) is tuple else "text" if is_text else _expected(kinds)
    raise RecipeError(f"{key} is {value!r}; give {expected}")


def _expected(kinds: tuple[Any, ...]) -> str:
    if get_origin(kinds[0]) is Literal:
        return f"one of {', '.join(kinds[1:])}"
    names = {int: "a whole number", float: "a number", bool: "true or false"}
    return next(names[kind] for kind in kinds if kind in names)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [
            {field.name: one for field in fields(part) if (one := getattr(part, field.name)) != field.default}
            for part in value
        ]
    return value
