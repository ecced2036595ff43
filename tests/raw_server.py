"""A server that sends exactly the given bytes, even if they are not valid HTTP."""

import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Respond = Callable[[socket.socket, bytes, int], None]
"""Answers one request: the connection, the head of the request, and the number of earlier requests."""


@contextmanager
def raw_server(respond: Respond) -> Iterator[str]:
    """Serve on a free port and yield the address, without a path."""
    count = itertools.count()

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(4096)
                respond(connection, request, next(count))
            except OSError:  # the client has closed the connection
                return

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def head(*lines: str, status: str = "200 OK") -> bytes:
    """The head of a response, after which the connection is closed."""
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "Connection: close", "", ""]).encode("latin-1")
