"""Recipes as YAML files: one that derives from another by name, or one that says all; and any recipe as such a file.

A value is read as on the command line, by the type of its field, so that both refuse the same things in the same words.
A run's `recipe.json` is such a file too, as JSON is YAML.
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
"""The recipe in a run's folder."""
_FROM = "recipe"
"""The key that names the recipe which a file derives from; `base` is the checkpoint that training starts from."""
_NAME = re.compile(r"\w[\w.+-]*")


def is_recipe_file(name: str) -> bool:
    """Whether a name is that of a file and not of a recipe."""
    return name.endswith(SUFFIXES)


def read_recipe(path: Path) -> RunSettings:
    """The recipe of a file.

    Raises:
        RecipeError: It is not there or no recipe; the message names the file, the key, its value and what is expected.
    """
    try:
        return _recipe(_load(path), path.stem)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def as_yaml(recipe: RunSettings) -> str:
    """A recipe with every setting, as a file that `read_recipe` reads to an equal one."""
    names = [name for name, _ in recipe.words()]
    values = {name: _plain(getattr(recipe, name)) for name in names}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands there twice, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise RecipeError(f"{twice[0]} is given twice; give it once")
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
        raise RecipeError(f"name is {name!r}; give letters, digits and -, which the run's folder is named by")
    derived = values.pop(_FROM, None)
    if derived is not None:
        return _changed(_named(derived), name, values)
    kinds: dict[type[RunSettings], None] = dict.fromkeys((Recipe, *map(type, all_recipes().values())))
    kind = next((kind for kind in kinds if kind.KIND_KEY in values), None)
    if kind is None:
        raise RecipeError(f"give {_FROM}: NAME, the recipe that it derives from, or all settings of a recipe")
    hints = _hints(kind)
    _check_keys(values, hints)
    if missing := [f.name for f in fields(kind) if f.default is MISSING and f.name not in {"name", *values}]:
        raise RecipeError(f"lacks {', '.join(missing)}; give it, or derive from a recipe with {_FROM}: NAME")
    return kind(name=name, **{key: _value(key, hints[key], value) for key, value in values.items()})


def _named(name: Any) -> RunSettings:
    if pipeline := pipelines().get(name):
        raise RecipeError(f"{_FROM} is {name!r}, which is several recipes{pipeline.example()}")
    return find_recipe(str(name))


def _changed(recipe: RunSettings, name: str, values: dict[str, Any]) -> RunSettings:
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
    """A value of a field's type."""
    if get_origin(hint) is tuple and isinstance(value, list):
        return tuple(_part(key, part) for part in value)
    return parse_value(key, hint, _word(key, hint, value))


def _part(key: str, value: Any) -> DataPart:
    """One source of samples: as on the command line, or field by field."""
    if not isinstance(value, dict):
        return DataPart.parse(_word(key, str, value))
    hints = _hints(DataPart)
    _check_keys(value, hints, f"key of {key}")
    if "file" not in value:
        raise RecipeError(f"{key} lacks a file; give file: FILE")
    return DataPart(**{name: _value(f"{key}.{name}", hints[name], one) for name, one in value.items()})


def _word(key: str, hint: Any, value: Any) -> str:
    """A value as it would be written on the command line."""
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
