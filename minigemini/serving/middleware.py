"""The door: every request passes here before its body is read. What is not let in by name is kept out.

In this order: who asks (host and key), whether there is a place, and the body within its bounds of size and time. What
goes wrong behind the door becomes an answer here too, and its log line holds no word of any request.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .api_errors import ApiError, internal_error
from .api_keys import KeyRing
from .hosts import is_local_origin, names_loopback
from .metrics import Metrics
from .request_queue import RequestQueue
from .server_settings import ServerSettings

OPEN_ROUTES = frozenset({"/health"})
"""What may be read without a key."""
PIECE_BYTES = 2**16
"""Longer bodies are sent in such pieces, each when the one before has gone out."""

log = logging.getLogger("minigemini.serving")


class RequestMiddleware:
    """ASGI middleware around the whole application.

    Args:
        app: what it guards.
        settings: the bounds.
        gate: where requests that make work take a place.
        metrics: where they are counted.
        routes: paths that exist; others are counted and logged as one.
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
        self._app, self._settings, self._request_queue, self._metrics, self._routes = (
            app,
            settings,
            queue,
            metrics,
            routes,
        )
        self._keys = KeyRing(settings.api_keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        route = scope["path"] if scope["path"] in self._routes() else "other"
        started, status = time.monotonic(), 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            for piece in _pieces(message):
                await send(piece)

        try:
            await self._let_in(scope, receive, sent)
        except ApiError as error:
            await error.response()(scope, receive, sent)
        except DisconnectError:
            self._metrics.disconnects.inc()
            status = status or 499
        except Exception as error:  # noqa: BLE001 (the message may hold what the client said, so it is not logged)
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s in %s\n%s", type(error).__name__, route, frames)
            if not status:
                await internal_error().response()(scope, receive, sent)
        finally:
            seconds = time.monotonic() - started
            self._metrics.requests.labels(route, status).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            method = scope["method"] if scope["method"] in ("GET", "POST") else "other"
            log.info("%s %s %d %.3fs", method, route, status, seconds)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        with ExitStack() as held:
            try:
                self._check_framing(scope, headers)
                if scope["path"] not in OPEN_ROUTES or scope["method"] not in ("GET", "HEAD"):
                    self._check_caller(headers)
                if scope["method"] == "POST":
                    self._check_body(headers)
                    make_room = held.enter_context(self._request_queue.place())
                    receive = _replayed(await self._read(receive, make_room), receive)
            except ApiError as error:
                # Its body has not been read, or not to its end: nothing that follows is a request.
                error.headers = {**(error.headers or {}), "Connection": "close"}
                raise
            await self._app(scope, receive, send)

    def _check_framing(self, scope: Scope, headers: Headers) -> None:
        """A body whose end a proxy in front may see elsewhere could hide a second request."""
        if "transfer-encoding" in headers and ("content-length" in headers or scope["http_version"] == "1.0"):
            raise ApiError(400, "two ways of telling how long the body is; send Content-Length or Transfer-Encoding")

    def _check_caller(self, headers: Headers) -> None:
        if self._keys:
            scheme, _, key = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not self._keys.opens(key.encode("latin-1")):
                raise ApiError(
                    401,
                    "no valid key: send the header Authorization: Bearer KEY",
                    code="invalid_api_key",
                    headers={"WWW-Authenticate": "Bearer"},
                )
        elif not names_loopback(headers.get("host", "")) or not is_local_origin(
            headers.get("origin", "http://localhost")
        ):
            raise ApiError(403, "without a key this server answers to localhost alone; set a key (--api-key)")

    def _check_body(self, headers: Headers) -> None:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":  # other kinds are sent by foreign pages without asking first
            raise ApiError(415, "the body is not application/json; set the header Content-Type")
        declared = headers.get("content-length", "0")
        if not declared.isascii() or not declared.isdigit() or int(declared) > self._settings.max_body_bytes:
            self._too_large()

    async def _read(self, receive: Receive, make_room: Callable[[int], None]) -> bytes:
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
                        self._too_large()
                    make_room(len(chunks[-1]))
                    more = message.get("more_body", False)
        except TimeoutError:
            raise ApiError(408, f"request body not received within {self._settings.body_seconds:g} s") from None
        return b"".join(chunks)

    def _too_large(self) -> None:
        raise ApiError(
            413, f"the body is larger than {self._settings.max_body_bytes:,} bytes; send fewer or smaller pictures"
        )


class DisconnectError(Exception):
    """The client hung up; there is nobody to answer."""


async def gone(receive: Receive) -> None:
    """Return once the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _pieces(message: Message) -> Iterator[Message]:
    """A message; a long body in pieces, so that no more than one waits for a client that reads slowly."""
    body = message.get("body", b"")
    for start in range(0, len(body) - PIECE_BYTES, PIECE_BYTES):
        yield {**message, "body": body[start : start + PIECE_BYTES], "more_body": True}
    if len(body) > PIECE_BYTES:
        message = {**message, "body": body[-(len(body) % PIECE_BYTES or PIECE_BYTES) :]}
    yield message


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once, and then whatever comes."""
    left = [body]

    async def replay() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return replay
