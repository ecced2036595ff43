"""What goes wrong, in OpenAI's envelope: `{"error": {"message", "type", "param", "code"}}`."""

from typing import Any

from fastapi.responses import JSONResponse

TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
"""By status; others are `invalid_request_error` below 500 and `server_error` from there on."""

LONGEST_MESSAGE, LONGEST_NAME = 500, 100
"""Characters: an error repeats no more than this of what the client sent."""


class ApiError(Exception):
    """An answer that is an error.

    Args:
        status: of HTTP.
        message: names the value and the mend; is made one line, and cut where it is too long.
        code: a word for programs.
        param: the field that is wrong; cut likewise.
        headers: besides the usual ones.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.status, self.message, self.code, self.headers = status, shown(message, LONGEST_MESSAGE), code, headers
        self.param = None if param is None else shown(param)
        super().__init__(self.message)

    def envelope(self) -> dict[str, Any]:
        """The body."""
        kind = TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The whole answer."""
        return JSONResponse(self.envelope(), self.status, self.headers)


def shown(text: str, longest: int = LONGEST_NAME) -> str:
    """Text of a client's as it is repeated to them: in one line, and not much of it."""
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(letter if letter.isprintable() else " " for letter in text)


def internal_error() -> ApiError:
    """What a client is told of a fault of ours: that there was one."""
    return ApiError(500, "the server failed on this request; its log says where", code="internal_error")


def shutting_down() -> ApiError:
    """What a client is told whose answer is not finished when the server ends."""
    return ApiError(
        503, "the server is shutting down; send the request again", "shutting_down", headers={"Retry-After": "5"}
    )
