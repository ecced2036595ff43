"""Bounds on connections, below HTTP: how many, how long one may idle, and how slowly a client may read.

Nobody who connects has shown a key yet, so a connection costs little and is given up easily: where there are too many,
the one that has waited longest for its request makes room. A client that asks at once is therefore always answered,
however many connections others hold open.
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
"""Connections that asyncio accepts before it looks at any of them."""
SPARE = 64
"""Connections beyond the most while all others are being answered, which for most takes milliseconds."""
RESERVED_DESCRIPTORS = 128
"""Left for everything else: model files, other servers, logs."""
LINGER_SECONDS = 2.0
"""How long the rest of an unwanted body is read and dropped, so that the client reads the answer before the end."""
MAX_HEAD_BYTES = 16 * 2**10
"""Of a request's line and headers."""
SEND_BUFFER_BYTES = 2**18
"""What the kernel holds for a client that does not read; by itself it takes megabytes."""
FREE_CHUNKS, MIN_CHUNK_BYTES = 1000, 256
"""A body may have so many chunks of any size; of more the mean size counts, since each chunk takes time to parse."""


class Connections:
    """All connections of a server.

    Args:
        settings: the bounds.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.most = min(settings.max_connections, _descriptors_for(settings.max_connections))
        self._all: dict[Connection, None] = {}  # in the order in which they began to wait
        self._of_address: defaultdict[str, dict[Connection, None]] = defaultdict(dict)

    def admit(self, connection: "Connection") -> bool:
        """Count a new connection, and make room for it; False if there is none."""
        of_address = self._of_address[connection.address]
        for held, most in ((of_address, self.settings.max_connections_per_address), (self._all, self.most)):
            while len(held) >= most and self._give_up_one(held):
                pass
            if len(held) >= most + SPARE:
                return False
        self.waits(connection)
        return True

    def waits(self, connection: "Connection") -> None:
        """Note that a connection waits for a request from now on."""
        for held in (self._all, self._of_address[connection.address]):
            held.pop(connection, None)
            held[connection] = None

    def release(self, connection: "Connection") -> None:
        """Forget a connection; once is enough."""
        self._all.pop(connection, None)
        of_address = self._of_address[connection.address]
        of_address.pop(connection, None)
        if not of_address:
            del self._of_address[connection.address]

    async def watch(self) -> None:
        """Close what is overdue, until cancelled."""
        while True:
            now = asyncio.get_running_loop().time()
            for connection in tuple(self._all):
                connection.close_if_overdue(now)
            await asyncio.sleep(0.5)

    def _give_up_one(self, held: Iterable["Connection"]) -> bool:
        waiting, stuck = (one for one in held if one.is_waiting), (one for one in held if one.is_stuck)
        oldest = next(chain(waiting, stuck), None)
        if oldest is None:
            return False
        oldest.transport.abort()
        self.release(oldest)
        return True


class Connection(H11Protocol):
    """One connection, as uvicorn's, that knows what it waits for.

    Args:
        connections: where it is counted; the other arguments are uvicorn's.
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
        """The client's; of IPv6 the network, since every client has billions of addresses."""
        self._table, self._settings = connections, connections.settings
        self._waiting_since = self._stuck_since = self._closing_since = 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether no request is being answered on it."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def is_stuck(self) -> bool:
        """Whether the client does not read what it is sent."""
        return self.flow.write_paused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it, or end it."""
        super().connection_made(cast(asyncio.Transport, _Transport(transport, self)))
        if (sock := transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.address = _network_of(self.client[0] if self.client else "")
        self._waiting_since = self.loop.time()
        if not self._table.admit(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give its place back."""
        self._table.release(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the answer is out already and the rest is not wanted."""
        if not self.transport.is_lingering:
            super().data_received(data)

    def on_response_complete(self) -> None:
        """Wait for the next request, or end where the body of this one has not been read."""
        self._waiting_since = self.loop.time()
        self._table.waits(self)
        if self.cycle.more_body:
            self.transport.close()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client does not read."""
        self._stuck_since = self.loop.time()
        super().pause_writing()

    def close_if_overdue(self, now: float) -> None:
        """End it where the client takes too long to ask, to read, or to go."""
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
    """h11's, that refuses bodies cut into tiny chunks."""

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
    """An asyncio transport that lingers when it is closed while the client is still sending.

    Closed at once, it would reset the connection, and many clients would never see the answer that says why.
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


def _descriptors_for(connections: int) -> int:
    """How many connections the limit on open files allows; it is raised where it may be."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return connections
    open_now = 0
    with suppress(OSError):
        open_now = len(os.listdir("/dev/fd"))
    others = open_now + ACCEPTED_AT_ONCE + SPARE + RESERVED_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in (soft, hard):
        return connections
    if soft < connections + others:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, connections + others), hard))
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
