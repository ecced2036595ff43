"""ASGI middleware of the page: checks Host and Origin, opens only the routes in use, and limits bodies and uploads.

Gradio itself accepts any Host header, so a malicious web page whose host name resolves to 127.0.0.1 could read the
conversations or fill the disk.
"""

import asyncio
import json
import logging
import os
import re
import secrets
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..api_errors import ApiError, internal_error
from ..hosts import names_loopback, parse_authority
from ..server_settings import ServerSettings
from .uploads import UploadStore

log = logging.getLogger("minigemini.serving")

API = "/gradio_api"
UPLOAD, HEARTBEAT = f"{API}/upload", f"{API}/heartbeat/"
EVENTS = frozenset({f"{API}/queue/join", f"{API}/run/predict"})
"""Their bodies contain questions and the paths of uploaded files."""
POST_ROUTES = EVENTS | {"/login", UPLOAD, f"{API}/cancel", f"{API}/reset"}
"""The routes that the page's script posts to. Gradio has more: they call, record, proxy and edit."""
CLOSED_PREFIXES = (f"{API}/deep_link", f"{API}/proxy")
"""GET routes of Gradio that write files or connect to other hosts."""

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline'",  # Gradio's page initializes itself in inline scripts
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_SESSION = re.compile(r"[0-9a-f]{32}")


class PageMiddleware:
    """Checks requests and limits uploads before they reach Gradio.

    Args:
        app: Gradio's application.
        settings: API keys and limits.
        uploads: tracks the stored files.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings, uploads: UploadStore) -> None:
        self._app, self._settings, self._uploads = app, settings, uploads
        self._tabs: set[asyncio.Task[Any]] = set()
        """The heartbeat requests of open tabs."""

    def close_tabs(self) -> None:
        """Cancel the heartbeats, which would otherwise delay a shutdown until the last tab is closed."""
        for task in self._tabs:
            task.cancel()  # Gradio ends the stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] != "http":  # the page uses no WebSockets
            return
        headers = Headers(scope=scope)
        session = session_of(headers.get("cookie", ""), scope)
        response_started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal response_started
            if message["type"] == "http.response.start":
                response_started = True
                response_headers = MutableHeaders(scope=message)
                response_headers.update(HEADERS)
                if session is None and scope["path"] == "/":
                    cookie = f"{cookie_name(scope)}={secrets.token_hex(16)}; HttpOnly; SameSite=Strict; Path=/"
                    response_headers.append("Set-Cookie", cookie)
            await send(message)

        try:
            self._check(scope, headers)
            if scope["path"] == UPLOAD and scope["method"] == "POST":
                await self._upload(session, headers, scope, receive, send_with_headers)
            elif scope["path"].startswith(HEARTBEAT) and session is not None:
                await self._heartbeat(session, scope, receive, send_with_headers)
            else:
                if scope["method"] == "POST":
                    receive = await self._buffered(headers, receive, check_files=scope["path"] in EVENTS)
                await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass
        except ApiError as error:
            if not response_started:
                await error.response()(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001 (not logged as is: its message may contain the question)
            log.error("%s in the page\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            if not response_started:
                await internal_error().response()(scope, receive, send_with_headers)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Check host, origin and route.

        Raises:
            ApiError: 403 for another host or origin, 404 for a route that the page does not use.
        """
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._settings.api_keys and not names_loopback(host):  # with a key, Gradio requires a login
            raise ApiError(403, "without an API key this page accepts localhost only; set a key (--api-key)")
        if origin is not None and not _is_same_origin(origin, host):
            raise ApiError(403, "cross-origin requests are not allowed; open this page directly")
        path, method = scope["path"], scope["method"]
        closed = path not in POST_ROUTES if method == "POST" else method not in ("GET", "HEAD")
        if closed or path.startswith(CLOSED_PREFIXES):
            raise ApiError(404, "no such route")

    async def _heartbeat(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request that a tab keeps open until it is closed."""
        task = asyncio.current_task()
        assert task is not None
        self._tabs.add(task)
        try:
            with self._uploads.tab(session):
                await self._app(scope, receive, send)
        finally:
            self._tabs.discard(task)

    async def _buffered(self, headers: Headers, receive: Receive, check_files: bool) -> Receive:
        """Read a body other than an upload, and return a `receive` that replays it."""
        body = bytearray()
        limited = _limited(receive, self._settings.max_body_bytes)
        async with _deadline(self._settings.body_seconds):
            while True:
                message = await limited()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    break
        if check_files:
            await asyncio.to_thread(_check_files, bytes(body), headers.get("host", ""), self._uploads.folder)
        unread = [bytes(body)]

        async def replay() -> Message:
            return {"type": "http.request", "body": unread.pop()} if unread else await receive()

        return replay

    async def _upload(self, session: str | None, headers: Headers, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Gradio store an upload within the limits; its response lists the files."""
        if session is None:
            raise ApiError(403, "an upload needs the page's cookie; open the page in a browser with cookies enabled")
        length = headers.get("content-length", "")
        if not length.isascii() or not length.isdecimal():
            raise ApiError(411, "an upload needs a valid Content-Length header; set it to the size of the body")
        size, max_bytes = int(length), self._settings.max_images * self._settings.images.max_bytes
        if size > max_bytes:
            raise ApiError(413, f"an upload of {size:,} bytes; send at most {max_bytes:,} bytes at a time")
        response: list[Message] = []

        async def collect(message: Message) -> None:
            response.append(message)

        try:
            with self._uploads.reserve(session, size):
                async with _deadline(self._settings.body_seconds):
                    await self._app(_uncompressed(scope), _limited(receive, size), collect)
        finally:
            self._uploads.add(session, _stored_files(response))
        for message in response:
            await send(message)


def cookie_name(scope: Scope) -> str:
    """Return the cookie's name; it includes the port, since browsers share cookies between the ports of a host."""
    return f"minigemini-page-{(scope.get('server') or ('', 0))[1]}"


def session_of(cookie: str, scope: Scope) -> str | None:
    """Return the session in a Cookie header, or None."""
    try:
        morsel: Any = SimpleCookie(cookie).get(cookie_name(scope))
    except CookieError:
        return None
    return morsel.value if morsel is not None and _SESSION.fullmatch(morsel.value) else None


def _limited(receive: Receive, max_bytes: int) -> Receive:
    """Return a `receive` that raises `ApiError` 413 if the body exceeds `max_bytes`."""
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > max_bytes:
            raise ApiError(
                413, f"the body is larger than {max_bytes:,} bytes; send less", headers={"Connection": "close"}
            )
        return message

    return limited


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise ApiError(
            408, f"request body not received within {seconds:g} s", headers={"Connection": "close"}
        ) from None


def _is_same_origin(origin: str, host: str) -> bool:
    """Return whether an Origin header matches a Host header."""
    scheme, _, authority = origin.partition("://")
    return (
        scheme in ("http", "https")
        and (named := parse_authority(authority)) is not None
        and (named == parse_authority(host))
    )


def _uncompressed(scope: Scope) -> Scope:
    """Return the request without Accept-Encoding, so that its response can be parsed."""
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]}


def _stored_files(response: list[Message]) -> list[Path]:
    """Return the files that Gradio's response to an upload lists."""
    if not response or response[0].get("status") != 200:
        return []
    return [Path(file) for file in json.loads(b"".join(message.get("body", b"") for message in response))]


def _check_files(body: bytes, host: str, folder: Path) -> None:
    """Check that every file in a body is an upload; Gradio would fetch or copy any other.

    Raises:
        ApiError: 400 for another path or URL, or invalid JSON.
    """
    try:
        pending = [json.loads(body)]
    except (ValueError, RecursionError):
        raise ApiError(400, "the body is not valid JSON") from None
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            path, url = str(value.get("path") or ""), str(value.get("url") or "")
            is_upload = not path or Path(os.path.abspath(path)).is_relative_to(folder)
            if not is_upload or ("://" in url and not _is_same_origin("/".join(url.split("/")[:3]), host)):
                raise ApiError(400, "image paths and URLs are not accepted; upload the image")
            pending += value.values()
        elif isinstance(value, list):
            pending += value
