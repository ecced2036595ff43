"""Parse and validate JSON bodies within limits, so that no body can block the interpreter or exhaust memory.

Parsing and validation hold the GIL, also in a thread, so the amount of work is what has to be limited.
"""

from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from .api_errors import ApiError, printable
from .protocol import MAX_ITEMS, ChatRequest, Strict

MAX_VALUES = 50_000
"""Values in a body, over all objects and lists."""
MAX_FIELDS = 100
"""Fields in one object."""
MAX_KEY_CHARS = 200
"""Characters in the name of a field."""

REASONS = {
    "extra_forbidden": "unknown field",
    "model_type": "not an object",
    "model_attributes_type": "not an object",
    "none_required": "must be null",
}
"""Messages by pydantic's error type, where pydantic's own message speaks of Python types."""

Request = TypeVar("Request", bound=Strict)


def read_request(body: bytes, model: type[Request], max_text_chars: int) -> Request:
    """Parse a body and validate it against its schema.

    Raises:
        ApiError: 400, naming one invalid field.
    """
    value = read_json(body, max_text_chars)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False, include_context=False)
    chosen = max(errors, key=lambda error: _specificity(error, value))
    path = _path_of(chosen, value)
    if path and path[0] in model.UNSUPPORTED:
        path, reason = path[:1], model.UNSUPPORTED[path[0]]
    else:
        message = chosen["msg"][:1].lower() + chosen["msg"][1:].replace(" after validation", "")
        reason = REASONS.get(chosen["type"], message)
    field = ".".join(map(printable, path))
    raise ApiError(400, f"{field or 'request body'}: {reason}", param=field or None, code=str(chosen["type"]))


def chat_request(fields: dict[str, Any]) -> ChatRequest:
    """Return the chat completion request that a valid request of another route stands for.

    Raises:
        ApiError: 400 if images are where chat completions have none, which is all that can be wrong.
    """
    try:
        return ChatRequest.model_validate(fields)
    except ValidationError:
        raise ApiError(400, "only messages of role user may contain images", param="messages") from None


def read_json(body: bytes, max_text_chars: int) -> Any:
    """Parse a JSON body.

    Args:
        body: UTF-8.
        max_text_chars: text that a request may have; each character of it may be a comma or a bracket.

    Raises:
        ApiError: 400 if the body is not JSON or exceeds a limit.
    """
    # Counted before parsing: a body has at most one value more than it has commas and opening brackets.
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES + max_text_chars:
        raise _too_many_values()
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise ApiError(400, f"request body: invalid JSON: {error}", code="json_invalid") from None
    _check_size(value)
    return value


def _check_size(value: Any) -> None:
    values_left, pending = MAX_VALUES, [("", value)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, dict):
            _at_most(MAX_FIELDS, len(value), "fields", path)
            _at_most(MAX_KEY_CHARS, max(map(len, value), default=0), "characters in a field name", path)
            children = [(f"{path}.{name}" if path else name, item) for name, item in value.items()]
        elif isinstance(value, list):
            _at_most(MAX_ITEMS, len(value), "items", path)
            children = [(f"{path}.{index}", item) for index, item in enumerate(value)]
        else:
            continue
        values_left -= len(children)
        if values_left < 0:
            raise _too_many_values()
        pending += children


def _at_most(limit: int, count: int, unit: str, path: str) -> None:
    if count > limit:
        message = f"{printable(path) or 'request body'}: {count:,} {unit}; use at most {limit:,}"
        raise ApiError(400, message, code="too_long", param=path or None)


def _too_many_values() -> ApiError:
    return ApiError(400, f"request body: more than {MAX_VALUES:,} values; send fewer", code="too_many_values")


def _specificity(error: Any, value: Any) -> tuple[int, bool]:
    """Sort key: a union reports errors of its other members too, at shorter paths or with a type mismatch."""
    return len(_path_of(error, value)), not error["type"].endswith("_type")


def _path_of(error: Any, value: Any) -> list[str]:
    """Return the path of an error in the client's JSON; pydantic's own path also names the members of unions."""
    path: list[str] = []
    previous: int | str | None = None
    for part in error["loc"]:
        is_union_tag = isinstance(previous, int) and isinstance(part, str)  # of a message or a content part
        if not is_union_tag and (child := _child(value, part)) is not _MISSING:
            path.append(str(part))
            value = child
        previous = part
    if error["type"] == "missing":
        path.append(str(error["loc"][-1]))
    return path


_MISSING = object()


def _child(value: Any, part: int | str) -> Any:
    if isinstance(value, dict):
        return value.get(part, _MISSING)
    return value[part] if isinstance(value, list) and isinstance(part, int) else _MISSING
