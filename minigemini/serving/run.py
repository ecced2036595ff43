"""Runs a server until it is told to end, and lets it finish what it has accepted."""

import logging
import socket
import sys
from collections.abc import Callable

import uvicorn

from ..inference.errors import RequestError
from .app import build_app
from .house import House


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; a port that is taken is noticed before a model is loaded.

    Raises:
        RequestError: it cannot.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host.strip("[]"), port))
    except OSError as error:
        sock.close()
        raise RequestError(f"{host} port {port}: {error.strerror or error}; use another (--port)") from None
    sock.set_inheritable(True)
    return sock


def make_server(house: House, sock: socket.socket, tell: Callable[[str], None]) -> uvicorn.Server:
    """A server, ready to run.

    Args:
        house: what is served.
        sock: of `listen`.
        tell: gets the line that says where, once requests are answered.
    """
    config = uvicorn.Config(
        build_app(house),
        log_level="warning",
        access_log=False,  # it would log what a client puts into an address
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=round(house.settings.drain_seconds),
    )
    return _Server(config, tell, f"http://{_shown(sock)}")


def serve(house: House, sock: socket.socket, tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, and log each request in a line; see `make_server`."""
    log = logging.getLogger("minigemini.serving")
    log.setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    make_server(house, sock, tell).run(sockets=[sock])


class _Server(uvicorn.Server):
    """Says where it listens, once it does."""

    def __init__(self, config: uvicorn.Config, tell: Callable[[str], None], address: str) -> None:
        super().__init__(config)
        self._tell, self._address = tell, address

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell(f"listening on {self._address}")


def _shown(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
