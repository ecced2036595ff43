"""Limits on connections, below HTTP: their number, their idle time, and how slowly a client may read.

A connection has no API key yet, so it may use few resources and is easily closed: if there are too many, the one that
has waited longest for its request is closed. A client that sends its request at once is therefore always served, no
matter how many idle connections others hold open.
"""

import asyncio
import ipaddress
import os
import socket
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from typing import Any, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from .server_settings import ServerSettings

ACCEPTED_AT_ONCE = 64
"""Connections that asyncio accepts before it reads from any of them."""
OVERFLOW = 64
"""Connections beyond the maximum while all others are active; most of those take milliseconds."""
RESERVED_DESCRIPTORS = 128
"""File descriptors reserved for everything else: model files, backends, logs."""
LINGER_SECONDS = 2.0
"""How long the rest of a rejected body is read and dropped, so that the client receives the response."""
MAX_HEAD_BYTES = 16 * 2**10
"""Maximum size of a request line and headers."""
SEND_BUFFER_BYTES = 2**18
"""Kernel buffer for a client that does not read; the default is several megabytes."""
FREE_CHUNKS, MIN_CHUNK_BYTES = 1000, 256
"""Beyond `FREE_CHUNKS` chunks a body needs a mean chunk size of `MIN_CHUNK_BYTES`: parsing a chunk has a fixed cost."""


class Connections:
    """All connections of a server.

    Args:
        settings: the limits.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self._limit = min(settings.max_connections, _max_connections(settings.max_connections))
        self._all: dict[Connection, None] = {}  # ordered by when they began to wait for a request
        self._of_address: defaultdict[str, dict[Connection, None]] = defaultdict(dict)

    def admit(self, connection: "Connection") -> bool:
        """Register a new connection, closing idle ones if necessary; return False if none can be closed."""
        of_address = self._of_address[connection.address]
        for group, limit in ((of_address, self.settings.max_connections_per_address), (self._all, self._limit)):
            while len(group) >= limit and self._close_one(group):
                pass
            if len(group) >= limit + OVERFLOW:
                return False
        self.mark_waiting(connection)
        return True

    def mark_waiting(self, connection: "Connection") -> None:
        """Record that a connection waits for a request from now on."""
        for group in (self._all, self._of_address[connection.address]):
            group.pop(connection, None)
            group[connection] = None

    def remove(self, connection: "Connection") -> None:
        """Unregister a connection; further calls have no effect."""
        self._all.pop(connection, None)
        of_address = self._of_address[connection.address]
        of_address.pop(connection, None)
        if not of_address:
            del self._of_address[connection.address]

    async def watch(self) -> None:
        """Close overdue connections until cancelled."""
        while True:
            now = asyncio.get_running_loop().time()
            for connection in tuple(self._all):
                connection.close_if_overdue(now)
            await asyncio.sleep(0.5)

    def _close_one(self, group: Iterable["Connection"]) -> bool:
        waiting = (connection for connection in group if connection.is_waiting)
        stuck = (connection for connection in group if connection.is_stuck)
        oldest = next(chain(waiting, stuck), None)
        if oldest is None:
            return False
        oldest.transport.abort()
        self.remove(oldest)
        return True


class Connection(H11Protocol):
    """A uvicorn connection that tracks what it waits for.

    Args:
        connections: the registry of connections; all other arguments are uvicorn's.
    """

    transport: "_Transport"  # type: ignore[assignment]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = _Parser(h11.SERVER, MAX_HEAD_BYTES)
        self.address = ""
        """The client's address; for IPv6 its /64 network, since one client has billions of addresses."""
        self._registry, self._settings = connections, connections.settings
        self._waiting_since = self._stuck_since = self._closing_since = 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether no request is active."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def is_stuck(self) -> bool:
        """Whether the client does not read its response."""
        return self.flow.write_paused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Register the connection, or close it."""
        super().connection_made(cast(asyncio.Transport, _Transport(transport, self)))
        if (sock := transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.address = _network_of(self.client[0] if self.client else "")
        self._waiting_since = self.loop.time()
        if not self._registry.admit(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Unregister the connection."""
        self._registry.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data, unless the response has been sent and the rest of the body is dropped."""
        if not self.transport.is_lingering:
            super().data_received(data)

    def on_response_complete(self) -> None:
        """Wait for the next request, or close if the body of this one has not been read."""
        self._waiting_since = self.loop.time()
        self._registry.mark_waiting(self)
        if self.cycle.more_body:
            self.transport.close()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Record when the client stopped reading."""
        self._stuck_since = self.loop.time()
        super().pause_writing()

    def close_if_overdue(self, now: float) -> None:
        """Close the connection if the client takes too long to send a request, to read, or to close."""
        if self.transport.is_closing():
            self._closing_since = self._closing_since or now
            limit = LINGER_SECONDS if self.transport.is_lingering else self._settings.send_seconds
            if now - self._closing_since > limit:
                self.transport.abort()
        elif self.is_stuck:
            if now - self._stuck_since > self._settings.send_seconds:
                self.transport.abort()
        elif self.is_waiting and now - self._waiting_since > self._settings.header_seconds:
            self.transport.close()


class _Parser(h11.Connection):
    """An h11 connection that rejects bodies in tiny chunks."""

    _chunks = _bytes = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._chunks += 1
            self._bytes += len(event.data)
            if self._chunks > FREE_CHUNKS and self._bytes < MIN_CHUNK_BYTES * self._chunks:
                raise h11.RemoteProtocolError("chunks are too small")
        return event


class _Transport:
    """An asyncio transport that lingers if it is closed while the client is still sending.

    An immediate close would reset the connection, and many clients would never see the error response.
    """

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        self._transport, self._connection = transport, connection
        self.is_lingering = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self.is_lingering or self._transport.is_closing()

    def close(self) -> None:
        cycle = self._connection.cycle
        if cycle is None or not cycle.more_body or not self._transport.can_write_eof():
            self._transport.close()
        elif not self.is_closing():
            self.is_lingering = True
            self._transport.write_eof()
            self._connection.flow.resume_reading()


def _max_connections(wanted: int) -> int:
    """Return how many connections the limit on open files allows, after raising the limit if possible."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    open_now = 0
    with suppress(OSError):
        open_now = len(os.listdir("/dev/fd"))
    others = open_now + ACCEPTED_AT_ONCE + OVERFLOW + RESERVED_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in (soft, hard):
        return wanted
    if soft < wanted + others:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, wanted + others), hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, soft - others)


@lru_cache(1000)
def _network_of(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.IPv6Network((address, 64), strict=False))
