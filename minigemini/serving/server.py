"""Runs a server until it is told to end, and lets it finish what it has accepted."""

import asyncio
import socket
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
from .logs import log_loop_error, log_requests
from .server_settings import ServerSettings, bare_host
from .state import ServerState

LISTEN_QUEUE = 2048
"""Connections that the kernel holds until they are accepted; it may hold fewer."""
LAST_SECONDS = 5.0
"""From when answers are cut short, after the time for draining, to when connections are cut."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; a port that is taken is noticed before a model is loaded.

    Raises:
        RequestError: it cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((bare_host(host), port))
    except OSError as error:
        sock.close()
        raise RequestError(f"{host} port {port}: {error.strerror or error}; use another (--port)") from None
    sock.set_inheritable(True)
    return sock


def make_server(state: ServerState, sock: socket.socket, tell: Callable[[str], None]) -> uvicorn.Server:
    """A server, ready to run.

    Args:
        house: what is served.
        sock: of `listen`.
        tell: gets the line that says where, once requests are answered.
    """
    return _Server(state, sock, tell)


def serve(state: ServerState, sock: socket.socket, tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, and log each request in a line; see `make_server`."""
    log_requests()
    make_server(state, sock, tell).run(sockets=[sock])


class BoundedServer(uvicorn.Server):
    """Serves an application over bounded connections, and says where it listens, once it does.

    Args:
        app: what is served.
        settings: the bounds.
        sock: of `listen`.
        tell: gets the line that says where, once requests are answered.
    """

    def __init__(
        self, app: ASGIApp, settings: ServerSettings, sock: socket.socket, tell: Callable[[str], None]
    ) -> None:
        self._connections, self._tell, self._address = Connections(settings), tell, f"http://{_shown(sock)}"
        http: Any = partial(Connection, connections=self._connections)
        super().__init__(
            uvicorn.Config(
                app,
                http=http,
                loop="asyncio",
                log_config=None,
                log_level="warning",
                access_log=False,  # it would log what a client puts into an address
                server_header=False,
                ws="none",
                backlog=ACCEPTED_AT_ONCE,
                timeout_keep_alive=round(settings.header_seconds) or 1,
                timeout_graceful_shutdown=round(settings.drain_seconds + LAST_SECONDS),
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(log_loop_error)
        self._watching = asyncio.create_task(self._connections.watch())
        await super().startup(sockets)
        for sock in sockets or ():
            sock.listen(LISTEN_QUEUE)  # asyncio has one number for this queue and for what it accepts at once
        with suppress(OSError):  # a full disk loses the line, and serves all the same
            self._tell(f"listening on {self._address}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().shutdown(sockets)
        finally:
            self._watching.cancel()


class _Server(BoundedServer):
    """The API's: finishes what it has accepted, within bounds."""

    def __init__(self, state: ServerState, sock: socket.socket, tell: Callable[[str], None]) -> None:
        super().__init__(build_app(state), state.settings, sock, tell)
        self._state, self._hurries = state, False

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        ending = asyncio.create_task(self._end_answers())
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal ends the server in order, the second one cuts short what is being answered."""
        if self.should_exit and not self._hurries:
            self._hurries = True
        else:
            super().handle_exit(sig, frame)

    async def _end_answers(self) -> None:
        """Once the time for draining is over, have every answer say that it ends here, so that no client waits on."""
        end = asyncio.get_running_loop().time() + self._state.settings.drain_seconds
        while asyncio.get_running_loop().time() < end and not self._hurries:
            await asyncio.sleep(0.1)
        while True:  # what was still being read becomes work only now
            for task in tuple(self._state.tasks):
                task.stop(shutting_down())
            await asyncio.sleep(0.1)


def _shown(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
