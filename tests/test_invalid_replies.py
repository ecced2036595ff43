"""Fetching from servers that lie in ways no HTTP library would: one line each, nothing under the final name, an end."""

import itertools
import random
import shutil
import socket
import threading
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from minigemini.io import transfer
from minigemini.io.origins import HttpOrigin, OriginError, refuse_downgrade
from minigemini.io.transfer import DownloadError, Transfer

DATA = random.Random(0).randbytes(200_000)
Lie = Callable[[socket.socket, bytes, int], None]
"""Answers one request: the connection, what was asked, and how many came before."""


@contextmanager
def telling(lie: Lie) -> Iterator[str]:
    """The address of a server that tells it."""
    count = itertools.count()

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                asked = b""
                while b"\r\n\r\n" not in asked:
                    asked += connection.recv(4096)
                lie(connection, asked, next(count))
            except OSError:  # the client has had enough
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
        yield f"http://127.0.0.1:{server.getsockname()[1]}/file.bin"
        server.shutdown(socket.SHUT_RDWR)


def head(*lines: str, status: str = "200 OK") -> bytes:
    fields = [f"HTTP/1.1 {status}", *lines, "Connection: close", "", ""]
    return "\r\n".join(fields).encode("latin-1")


def whole(*lines: str, status: str = "200 OK") -> Lie:
    """The file behind any head."""
    return lambda connection, asked, number: connection.sendall(head(*lines, status=status) + DATA)


def redirect(location: str) -> Lie:
    return lambda connection, asked, number: connection.sendall(
        head(f"Location: {location}", "Content-Length: 0", status="302 Found")
    )


def raw(data: bytes) -> Lie:
    return lambda connection, asked, number: connection.sendall(data)


def without_end(connection: socket.socket, asked: bytes, number: int) -> None:
    connection.sendall(head("Transfer-Encoding: chunked"))
    while True:
        connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")


def a_byte_now_and_then(connection: socket.socket, asked: bytes, number: int) -> None:
    connection.sendall(head(f"Content-Length: {len(DATA)}"))
    for byte in DATA:
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def cut_off_and_then_no_more(connection: socket.socket, asked: bytes, number: int) -> None:
    """Whoever takes a 416 for the end would keep a part for the whole."""
    if b"range:" in asked.lower():
        connection.sendall(head("Content-Length: 0", status="416 Range Not Satisfiable"))
    else:
        connection.sendall(head("Transfer-Encoding: chunked") + b"%x\r\n" % len(DATA) + DATA[:150_000])


def another_version_each_time(connection: socket.socket, asked: bytes, number: int) -> None:
    connection.sendall(head(f'ETag: "{number}"', f"Content-Length: {len(DATA)}") + DATA[:150_000])


LIES: dict[str, tuple[Lie, str]] = {
    "a length of thousands of digits": (whole("Content-Length: " + "9" * 5000), "bad Content-Length"),
    "a length that is no digit": (whole("Content-Length: \xb2"), "bad Content-Length"),
    "two lengths": (whole("Content-Length: 5", f"Content-Length: {len(DATA)}"), "conflicting Content-Length"),
    "more than any disk": (whole(f"Content-Length: {10**17}"), "bytes to receive, but the disk has"),
    "a range of thousands of digits": (
        whole("Content-Range: bytes 0-5/" + "9" * 5000, status="206 Partial Content"),
        "other bytes than requested",
    ),
    "a range of pages": (whole("Content-Range: pages 1/2", status="206 Partial Content"), "other bytes than"),
    "cut off, then no more": (cut_off_and_then_no_more, "other bytes than requested"),
    "another version each time": (another_version_each_time, "run again later"),
    "no HTTP": (raw(b"\x00\xff" * 5000), "illegal"),
    "a header of a megabyte": (raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 10**6), "too long"),
    "broken chunks": (raw(head("Transfer-Encoding: chunked") + b"zz\r\nabc\r\n"), "illegal chunk header"),
    "redirected in circles": (redirect("/file.bin"), "TooManyRedirects"),
    "redirected to a file": (redirect("file:///etc/passwd"), "unsupported protocol"),
    "redirected to no URL": (redirect("http://[::1/\xff%zz"), "Invalid URL"),
    "redirected to nowhere": (raw(head("Content-Length: 0", status="302 Found")), "the server answers 302"),
}


@pytest.mark.parametrize("name", LIES)
def test_invalid_replies_are_one_line_errors(name, tmp_path):
    lie, words = LIES[name]
    with telling(lie) as address, pytest.raises(DownloadError, match=words) as raised:
        Transfer(HttpOrigin(address), tmp_path / "file.bin", pause=0.001).run()
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "file.bin").exists()


def test_endless_body_leaves_disk_space(tmp_path, monkeypatch):
    """The simulated disk has 64 MB more than are kept free."""
    room = transfer.RESERVE_BYTES + 64 * 2**20
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(transfer, "RESERVE_BYTES", 2**25)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda folder: usage(room - 2**30 - sum(f.stat().st_size for f in tmp_path.iterdir()))
    )
    with telling(without_end) as address, pytest.raises(DownloadError, match="unknown number of bytes to receive"):
        Transfer(HttpOrigin(address), tmp_path / "file.bin", pause=0.001).run()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 64 * 2**20


def test_slow_drip_is_abandoned(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "PATIENCE_SECONDS", 0.2)
    begun = time.monotonic()
    with telling(a_byte_now_and_then) as address, pytest.raises(DownloadError, match=r"only \d+ bytes in 0 seconds"):
        Transfer(HttpOrigin(address), tmp_path / "file.bin", pause=0.001).run()
    assert time.monotonic() - begun < 10


def test_redirects_from_https_to_http_are_refused():
    class Reply:
        def __init__(self, url: str, *history: "Reply") -> None:
            self.url, self.history = url, history

    requested, plain, secure = "https://example.org/x", "http://example.org/x", "https://cdn.example.org/x"
    refuse_downgrade(requested, Reply(secure, Reply(requested)))
    refuse_downgrade(plain, Reply(plain))
    for reply in (Reply(plain, Reply(requested)), Reply(secure, Reply(requested), Reply(plain))):
        with pytest.raises(OriginError, match="redirects from https to http"):
            refuse_downgrade(requested, reply)
