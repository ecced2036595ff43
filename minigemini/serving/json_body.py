"""Reads the JSON of a request within bounds, so that no body keeps the interpreter busy or fills its memory.

Parsing and validation hold the interpreter lock, also in a thread: what matters is that there is little to do.
"""

from typing import Any

from pydantic_core import from_json

from .api_errors import ApiError, shown

MAX_VALUES = 50_000
"""Values in a body, of all objects and lists together."""
MAX_ITEMS = 1000
"""In a list."""
MAX_FIELDS = 100
"""In an object."""
MAX_NAME_CHARS = 200
"""Of a field's name."""


def read_json(body: bytes, max_text_chars: int) -> Any:
    """The value that a body holds.

    Args:
        body: encoded in UTF-8.
        max_text_chars: of all text that a request may have; any of it may be a comma or a bracket.

    Raises:
        ApiError: 400: no JSON, or more than is read.
    """
    # Counted before anything is built: there is at most one value more than there are commas and openings.
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES + max_text_chars:
        raise ApiError(400, f"the body: more than {MAX_VALUES:,} values; send fewer", code="too_many_values")
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise ApiError(400, f"the body: not JSON: {error}", code="json_invalid") from None
    _check_size(value)
    return value


def _check_size(value: Any) -> None:
    left, waiting = MAX_VALUES, [("", value)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            _at_most(MAX_FIELDS, len(value), "fields", path)
            _at_most(MAX_NAME_CHARS, max(map(len, value), default=0), "characters in a field's name", path)
            inner = [(f"{path}.{name}" if path else name, item) for name, item in value.items()]
        elif isinstance(value, list):
            _at_most(MAX_ITEMS, len(value), "items", path)
            inner = [(f"{path}.{index}", item) for index, item in enumerate(value)]
        else:
            continue
        left -= len(inner)
        if left < 0:
            raise ApiError(400, f"the body: more than {MAX_VALUES:,} values; send fewer", code="too_many_values")
        waiting += inner


def _at_most(most: int, count: int, what: str, path: str) -> None:
    if count > most:
        message = f"{shown(path) or 'the body'}: {count:,} {what}; at most {most:,} are read"
        raise ApiError(400, message, code="too_long", param=path or None)
