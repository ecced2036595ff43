"""Errors in OpenAI's envelope: `{"error": {"message", "type", "param", "code"}}`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi.responses import JSONResponse

ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
"""By status; all others are `invalid_request_error` below 500 and `server_error` from 500 on."""

MAX_MESSAGE_CHARS, MAX_NAME_CHARS = 500, 100
"""An error repeats at most this much of what the client sent."""


class ApiError(Exception):
    """An HTTP error response.

    Args:
        status: HTTP status code.
        message: what is wrong and how to fix it; truncated and made one line.
        code: machine-readable error code.
        param: name of the invalid field; truncated like the message.
        headers: additional response headers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status, self.message, self.code, self.headers = (
            status,
            printable(message, MAX_MESSAGE_CHARS),
            code,
            headers,
        )
        self.param = None if param is None else printable(param)
        super().__init__(self.message)

    def envelope(self) -> dict[str, Any]:
        """Return the response body."""
        kind = ERROR_TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """Return the complete response."""
        return JSONResponse(self.envelope(), self.status, self.headers)


@contextmanager
def field_names(names: Mapping[str, str]) -> Iterator[None]:
    """Name the fields in errors as a route has them, which translates its requests into chat completions.

    Args:
        names: the route's names, by those of chat completions.
    """
    try:
        yield
    except ApiError as error:
        param = error.param or ""
        if param in names:
            if error.message.startswith(param):
                error.message = names[param] + error.message.removeprefix(param)
            error.param = names[param]
        raise


class DisconnectError(Exception):
    """The client closed the connection before the response was complete."""


def printable(text: str, max_chars: int = MAX_NAME_CHARS) -> str:
    """Return client-supplied text as one line of at most `max_chars` printable characters."""
    text = text if len(text) <= max_chars else text[: max_chars - 1] + "…"
    return "".join(char if char.isprintable() else " " for char in text)


def model_not_found(model: str, served: str) -> ApiError:
    """Return the error for a request that names another model than the served one."""
    message = f"model {printable(model)!r} not found; this server serves {served!r}"
    return ApiError(404, message, code="model_not_found", param="model")


def internal_error() -> ApiError:
    """Return the error for a bug in the server; details go to the log only."""
    return ApiError(500, "internal server error; see the server log", code="internal_error")


def shutting_down() -> ApiError:
    """Return the error for a request that is cut off by a shutdown."""
    return ApiError(
        503, "the server is shutting down; retry the request", "shutting_down", headers={"Retry-After": "5"}
    )
