"""What goes wrong, in OpenAI's envelope: `{"error": {"message", "type", "param", "code"}}`."""

from typing import Any

from fastapi.responses import JSONResponse

TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
"""By status; others are `invalid_request_error` below 500 and `server_error` from there on."""


class ApiError(Exception):
    """An answer that is an error.

    Args:
        status: of HTTP.
        message: one line that names the value and the mend.
        code: a word for programs.
        param: the field that is wrong.
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
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.headers = status, message, code, param, headers

    def envelope(self) -> dict[str, Any]:
        """The body."""
        kind = TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The whole answer."""
        return JSONResponse(self.envelope(), self.status, self.headers)


def internal_error() -> ApiError:
    """What a client is told of a fault of ours: that there was one."""
    return ApiError(500, "the server failed on this request; its log says where", code="internal_error")
