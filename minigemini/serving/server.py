"""Run a server: listening socket, uvicorn with bounded connections, graceful shutdown, and rate-limited logs."""

import asyncio
import logging
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from ..io.errors import RequestError
from .api_errors import shutting_down
from .app import build_app
from .connections import ACCEPTED_AT_ONCE, Connection, Connections
from .server_settings import ServerSettings, bare_host
from .state import ServerState

LISTEN_BACKLOG = 2048
"""Connections that the kernel queues until they are accepted; the system may lower it."""
SHUTDOWN_GRACE_SECONDS = 5.0
"""Time after the drain period in which unfinished responses send their error; then connections are closed."""
REQUESTS_PER_SECOND = 100
"""Maximum log lines about requests; further ones are only counted."""
WARNINGS_PER_MINUTE = 10
"""Maximum log lines per kind of warning."""

_LOGGERS = ("minigemini.serving", "uvicorn.error", "asyncio")


def listen(host: str, port: int) -> socket.socket:
    """Bind a socket, so that an occupied port is reported before a model is loaded.

    Raises:
        RequestError: the address is not available.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((bare_host(host), port))
    except OSError as error:
        sock.close()
        raise RequestError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; use another port (--port)"
        ) from None
    sock.set_inheritable(True)
    return sock


def serve(state: ServerState, sock: socket.socket, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, and log requests to stderr. See `make_server`."""
    configure_logging()
    make_server(state, sock, announce).run(sockets=[sock])


def make_server(state: ServerState, sock: socket.socket, announce: Callable[[str], None]) -> uvicorn.Server:
    """Return a server that is ready to run.

    Args:
        state: the server's state.
        sock: a socket from `listen`.
        announce: called with "listening on URL" once the server accepts requests.
    """
    return _ApiServer(state, sock, announce)


class BoundedServer(uvicorn.Server):
    """A uvicorn server with limits on its connections that announces its address.

    Args:
        app: the application.
        settings: the limits.
        sock: a socket from `listen`.
        announce: called with "listening on URL" once the server accepts requests.
    """

    def __init__(
        self, app: ASGIApp, settings: ServerSettings, sock: socket.socket, announce: Callable[[str], None]
    ) -> None:
        self._connections, self._announce = Connections(settings), announce
        self._url = f"http://{_format_address(sock)}"
        http: Any = partial(Connection, connections=self._connections)
        super().__init__(
            uvicorn.Config(
                app,
                http=http,
                loop="asyncio",
                log_config=None,
                log_level="warning",
                access_log=False,  # would log URLs, which contain request data
                server_header=False,
                ws="none",
                backlog=ACCEPTED_AT_ONCE,
                timeout_keep_alive=round(settings.header_seconds) or 1,
                timeout_graceful_shutdown=round(settings.drain_seconds + SHUTDOWN_GRACE_SECONDS),
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(log_loop_error)
        self._watcher = asyncio.create_task(self._connections.watch())
        await super().startup(sockets)
        for sock in sockets or ():
            sock.listen(LISTEN_BACKLOG)  # asyncio uses `backlog` for both this and the connections accepted at once
        with suppress(OSError):  # a full disk loses the line, not the server
            self._announce(f"listening on {self._url}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().shutdown(sockets)
        finally:
            self._watcher.cancel()


class _ApiServer(BoundedServer):
    """The API server: finishes accepted requests within the drain period."""

    def __init__(self, state: ServerState, sock: socket.socket, announce: Callable[[str], None]) -> None:
        super().__init__(build_app(state), state.settings, sock, announce)
        self._state, self._skip_drain = state, False

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        stopper = asyncio.create_task(self._stop_tasks_after_drain())
        try:
            await super().shutdown(sockets)
        finally:
            stopper.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain on the first signal; stop unfinished requests on the second."""
        if self.should_exit and not self._skip_drain:
            self._skip_drain = True
        else:
            super().handle_exit(sig, frame)

    async def _stop_tasks_after_drain(self) -> None:
        """Send an error to every unfinished request after the drain period, so that no client waits forever."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._state.settings.drain_seconds
        while loop.time() < deadline and not self._skip_drain:
            await asyncio.sleep(0.1)
        while True:  # a request whose body was still being received gets its task only now
            for task in tuple(self._state.tasks):
                task.stop(shutting_down())
            await asyncio.sleep(0.1)


def _format_address(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class RateLimit(logging.Filter):
    """Limits log lines per kind and time window; the first line of the next window counts the suppressed ones.

    A kind is the first line of a message template.
    """

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is logged."""
        limit, seconds = (REQUESTS_PER_SECOND, 1.0) if record.levelno < logging.WARNING else (WARNINGS_PER_MINUTE, 60.0)
        kind, now = str(record.msg).partition("\n")[0], time.monotonic()
        start, count = self._windows.get(kind, (now, 0))
        if now - start >= seconds:
            if count > limit:
                record.msg = f"{record.msg} ({count - limit} more like this were not logged)"
            start, count = now, 0
        if len(self._windows) >= 1000:  # only messages without a template are so many
            self._windows.clear()
        self._windows[kind] = start, count + 1
        return count < limit


def configure_logging() -> None:
    """Log requests and the warnings of uvicorn and asyncio to stderr, rate-limited."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    handler.addFilter(RateLimit())
    # A full disk or a closed pipe loses the line, not the request.
    logging.raiseExceptions = False
    for name in _LOGGERS:
        log = logging.getLogger(name)
        log.handlers, log.propagate = [handler], False
    logging.getLogger("minigemini.serving").setLevel(logging.INFO)


def log_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handle an event loop's exceptions; a connection that cannot be accepted logs one line without a traceback."""
    error = context.get("exception")
    if "socket" in context and isinstance(error, OSError):
        logging.getLogger("asyncio").error("cannot accept a connection: %s", error.strerror)
    else:
        loop.default_exception_handler(context)
