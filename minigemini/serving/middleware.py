"""ASGI middleware that checks every request before its body is parsed.

In this order: caller (API key, or Host and Origin), admission to the queue, and the body within its limits of size and
time. Exceptions of the application become error responses here. Log lines contain no request data.
"""

import asyncio
import hashlib
import hmac
import logging
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .api_errors import ApiError, DisconnectError, internal_error
from .hosts import is_local_origin, names_loopback, parse_authority
from .request_queue import RequestQueue
from .server_settings import ServerSettings
from .state import Metrics

PUBLIC_ROUTES = frozenset({"/health"})
"""Routes that can be read without an API key."""
SEND_CHUNK_BYTES = 2**16
"""Longer bodies are sent in chunks of this size, each after the previous one has been written."""

log = logging.getLogger("minigemini.serving")


class RequestMiddleware:
    """Checks requests, reads their bodies, handles errors, and logs and counts the responses.

    Args:
        app: the application.
        settings: API keys and limits.
        queue: admits POST requests.
        metrics: counts requests.
        routes: returns the existing paths; all others are counted and logged as "other".
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: ServerSettings,
        queue: RequestQueue,
        metrics: Metrics,
        routes: Callable[[], set[str]],
    ) -> None:
        self._app, self._settings, self._queue = app, settings, queue
        self._metrics, self._routes = metrics, routes
        self._keys = ApiKeys(settings.api_keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        route = scope["path"] if scope["path"] in self._routes() else "other"
        started, status = time.monotonic(), 0

        async def send_in_chunks(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            for chunk in _split(message):
                await send(chunk)

        try:
            await self._handle(scope, receive, send_in_chunks)
        except ApiError as error:
            await error.response()(scope, receive, send_in_chunks)
        except DisconnectError:
            self._metrics.disconnects.inc()
            status = status or 499
        except Exception as error:  # noqa: BLE001 (not logged as is: its message may contain request data)
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s in %s\n%s", type(error).__name__, route, frames)
            if not status:
                await internal_error().response()(scope, receive, send_in_chunks)
        finally:
            seconds = time.monotonic() - started
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            method = scope["method"] if scope["method"] in ("GET", "POST") else "other"
            log.info("%s %s %d %.3fs", method, route, status, seconds)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        with ExitStack() as admission:
            try:
                self._check_framing(scope, headers)
                if scope["path"] not in PUBLIC_ROUTES or scope["method"] not in ("GET", "HEAD"):
                    self._check_caller(headers)
                if scope["method"] == "POST":
                    self._check_body_headers(headers)
                    reserve = admission.enter_context(self._queue.admit())
                    receive = _replay(await self._read_body(receive, reserve), receive)
            except ApiError as error:
                # The body has not been read to its end, so the connection cannot carry another request.
                error.headers = {**(error.headers or {}), "Connection": "close"}
                raise
            await self._app(scope, receive, send)

    def _check_framing(self, scope: Scope, headers: Headers) -> None:
        """Prevent request smuggling: a proxy in front may see the end of such a body elsewhere."""
        if "transfer-encoding" in headers and ("content-length" in headers or scope["http_version"] == "1.0"):
            raise ApiError(400, "ambiguous body length; send either Content-Length or Transfer-Encoding, not both")

    def _check_caller(self, headers: Headers) -> None:
        if self._keys:
            scheme, _, key = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not self._keys.match(key.encode("latin-1")):
                raise ApiError(
                    401,
                    "missing or invalid API key; send the header Authorization: Bearer KEY",
                    code="invalid_api_key",
                    headers={"WWW-Authenticate": "Bearer"},
                )
        elif not self._is_known_host(headers.get("host", "")):
            message = "without an API key this server accepts localhost only; set a key (--api-key), or allow the host"
            raise ApiError(403, message + " (--allow-host)")
        elif not self._is_known_origin(headers.get("origin", "http://localhost")):
            message = "without an API key this server accepts no other web pages; set a key (--api-key), or allow the"
            raise ApiError(403, message + " origin (--allow-origin)")

    def _is_known_host(self, host: str) -> bool:
        authority = parse_authority(host)
        return names_loopback(host) or (authority is not None and authority.host in self._settings.allowed_hosts)

    def _is_known_origin(self, origin: str) -> bool:
        return is_local_origin(origin) or origin in self._settings.allowed_origins

    def _check_body_headers(self, headers: Headers) -> None:
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/json":  # browsers send other types across origins without a preflight
            raise ApiError(415, "the body is not application/json; set the header Content-Type: application/json")
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > self._settings.max_body_bytes:
            raise self._too_large()

    async def _read_body(self, receive: Receive, reserve: Callable[[int], None]) -> bytes:
        chunks, size = [], 0
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise DisconnectError
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > self._settings.max_body_bytes:
                        raise self._too_large()
                    reserve(len(chunks[-1]))
                    more = message.get("more_body", False)
        except TimeoutError:
            raise ApiError(408, f"request body not received within {self._settings.body_seconds:g} s") from None
        return b"".join(chunks)

    def _too_large(self) -> ApiError:
        return ApiError(
            413, f"the body is larger than {self._settings.max_body_bytes:,} bytes; send fewer or smaller images"
        )


class ApiKeys:
    """API keys, stored as digests of equal length and compared in constant time.

    Args:
        keys: without surrounding spaces; encoded as UTF-8, as clients send them.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key.encode("utf-8", "surrogateescape")) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def match(self, key: bytes) -> bool:
        """Return whether `key` is one of the keys; always compares with all of them."""
        digest = _digest(key)
        return bool(sum(hmac.compare_digest(digest, known) for known in self._digests))


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key.strip()).digest()


def _split(message: Message) -> Iterator[Message]:
    """Split a long body into chunks, so that at most one of them waits for a slow client."""
    body = message.get("body", b"")
    for start in range(0, len(body) - SEND_CHUNK_BYTES, SEND_CHUNK_BYTES):
        yield {**message, "body": body[start : start + SEND_CHUNK_BYTES], "more_body": True}
    if len(body) > SEND_CHUNK_BYTES:
        message = {**message, "body": body[-(len(body) % SEND_CHUNK_BYTES or SEND_CHUNK_BYTES) :]}
    yield message


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that first returns the body that has been read."""
    unread = [body]

    async def replay() -> Message:
        return {"type": "http.request", "body": unread.pop(), "more_body": False} if unread else await receive()

    return replay
