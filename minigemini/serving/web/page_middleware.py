"""What the page lets in: the API's rule for hosts, no foreign origins, few routes, bodies and uploads within bounds.

Without it Gradio answers under any name, so that a web page elsewhere, whose name is made to resolve to 127.0.0.1,
could read what is said here, or fill the disk.
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
"""They carry what was asked, and which files were shown."""
POST_ROUTES = EVENTS | {"/login", UPLOAD, f"{API}/cancel", f"{API}/reset"}
"""All that the page's own script sends bodies to; Gradio has more, which call, record, proxy and edit."""
CLOSED = (f"{API}/deep_link", f"{API}/proxy")
"""Gradio's routes that write files or reach other hosts without a body."""

POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline'",  # Gradio's page sets itself up in inline scripts
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
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_SESSION = re.compile(r"[0-9a-f]{32}")


class PageMiddleware:
    """ASGI middleware around all of Gradio.

    Args:
        app: what it guards.
        settings: keys and bounds.
        uploads: keeps account of what is stored.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings, uploads: UploadStore) -> None:
        self._app, self._settings, self._uploads = app, settings, uploads
        self._tabs: set[asyncio.Task[Any]] = set()
        """Requests that last as long as a tab is open."""

    def close_tabs(self) -> None:
        """End what would keep the server waiting until the last tab is closed."""
        for task in self._tabs:
            task.cancel()  # Gradio takes this for the end of the stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] != "http":  # the page opens no WebSocket
            return
        headers = Headers(scope=scope)
        session = session_of(headers.get("cookie", ""), scope)
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                outgoing = MutableHeaders(scope=message)
                outgoing.update(HEADERS)
                if session is None and scope["path"] == "/":
                    cookie = f"{cookie_name(scope)}={secrets.token_hex(16)}; HttpOnly; SameSite=Strict; Path=/"
                    outgoing.append("Set-Cookie", cookie)
            await send(message)

        try:
            self._check(scope, headers)
            if scope["path"] == UPLOAD and scope["method"] == "POST":
                await self._upload(session, headers, scope, receive, sent)
            elif scope["path"].startswith(HEARTBEAT) and session is not None:
                await self._heartbeat(session, scope, receive, sent)
            else:
                if scope["method"] == "POST":
                    receive = await self._bounded(headers, receive, check_files=scope["path"] in EVENTS)
                await self._app(scope, receive, sent)
        except ClientDisconnect:
            pass
        except ApiError as error:
            if not begun:
                await error.response()(scope, receive, sent)
        except Exception as error:  # noqa: BLE001 (the message may hold what the user said, so it is not logged)
            log.error("%s in the page\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
            if not begun:
                await internal_error().response()(scope, receive, sent)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Raises `ApiError`: another host or origin, or a route that the page does not use."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._settings.api_keys and not names_loopback(host):  # with a key, Gradio asks for it
            raise ApiError(403, "without a key this page answers to localhost alone; set a key (--api-key)")
        if origin is not None and not _is_same(origin, host):
            raise ApiError(403, "requests from other web pages are refused; open this page itself")
        path, method = scope["path"], scope["method"]
        closed = path not in POST_ROUTES if method == "POST" else method not in ("GET", "HEAD")
        if closed or path.startswith(CLOSED):
            raise ApiError(404, "no such route")

    async def _heartbeat(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        """The request that a tab keeps open for as long as it is."""
        task = asyncio.current_task()
        assert task is not None
        self._tabs.add(task)
        try:
            with self._uploads.tab(session):
                await self._app(scope, receive, send)
        finally:
            self._tabs.discard(task)

    async def _bounded(self, headers: Headers, receive: Receive, check_files: bool) -> Receive:
        """Read a body that is no upload."""
        most = self._settings.max_body_bytes
        body = bytearray()
        arriving = _limited(receive, most)
        async with _deadline(self._settings.body_seconds):
            while True:
                message = await arriving()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    break
        if check_files:
            await asyncio.to_thread(_check_files, bytes(body), headers.get("host", ""), self._uploads.folder)
        left = [bytes(body)]

        async def replay() -> Message:
            return {"type": "http.request", "body": left.pop()} if left else await receive()

        return replay

    async def _upload(self, session: str | None, headers: Headers, scope: Scope, receive: Receive, send: Send) -> None:
        """Have Gradio store an upload, within the limits; its answer lists the files."""
        if session is None:
            raise ApiError(403, "uploads need the page's cookie; open the page in a browser that keeps cookies")
        declared = headers.get("content-length", "")
        if not declared.isascii() or not declared.isdecimal():
            raise ApiError(411, "an upload says how long it is; set the header Content-Length")
        size, most = int(declared), self._settings.max_images * self._settings.images.max_bytes
        if size > most:
            raise ApiError(413, f"uploads of more than {most:,} bytes are refused; send fewer or smaller pictures")
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        try:
            with self._uploads.receiving(session, size):
                async with _deadline(self._settings.body_seconds):
                    await self._app(_uncompressed(scope), _limited(receive, size), keep)
        finally:
            self._uploads.add(session, _stored(answer))
        for message in answer:
            await send(message)


def cookie_name(scope: Scope) -> str:
    """Browsers do not tell cookies of two servers on one host apart by port, so the name does."""
    return f"minigemini-page-{(scope.get('server') or ('', 0))[1]}"


def session_of(cookie: str, scope: Scope) -> str | None:
    """The session that a browser's cookies name."""
    try:
        found: Any = SimpleCookie(cookie).get(cookie_name(scope))
    except CookieError:
        return None
    return found.value if found is not None and _SESSION.fullmatch(found.value) else None


def _limited(receive: Receive, most: int) -> Receive:
    """A `receive` that raises `ApiError` 413 once a body is longer than `most` bytes."""
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise ApiError(413, f"the body is larger than {most:,} bytes", headers={"Connection": "close"})
        return message

    return limited


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise ApiError(
            408, f"request body not received within {seconds:g} seconds", headers={"Connection": "close"}
        ) from None


def _is_same(origin: str, host: str) -> bool:
    """Whether an Origin header is that of the page which a Host header names."""
    scheme, _, authority = origin.partition("://")
    return (
        scheme in ("http", "https")
        and (named := parse_authority(authority)) is not None
        and (named == parse_authority(host))
    )


def _uncompressed(scope: Scope) -> Scope:
    """The request with an answer that can be read here."""
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]}


def _stored(answer: list[Message]) -> list[Path]:
    """The files that Gradio's answer to an upload lists."""
    if not answer or answer[0].get("status") != 200:
        return []
    return [Path(file) for file in json.loads(b"".join(message.get("body", b"") for message in answer))]


def _check_files(body: bytes, host: str, folder: Path) -> None:
    """Raises `ApiError`: a message with a file that lies elsewhere, which Gradio would fetch or copy."""
    try:
        left = [json.loads(body)]
    except (ValueError, RecursionError):
        raise ApiError(400, "the body is not JSON") from None
    while left:
        value = left.pop()
        if isinstance(value, dict):
            path, url = str(value.get("path") or ""), str(value.get("url") or "")
            stored = not path or Path(os.path.abspath(path)).is_relative_to(folder)
            if not stored or ("://" in url and not _is_same("/".join(url.split("/")[:3]), host)):
                raise ApiError(400, "a picture is uploaded, not named by a path or an address")
            left += value.values()
        elif isinstance(value, list):
            left += value
