"""Connection limits: clients that hold connections, send slowly, do not read, or smuggle requests, on loopback."""

import asyncio
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from api_server import KEY, Served, serving
from waiting import wait_until

from minigemini.inference import RequestError
from minigemini.serving.backends import Capabilities, ChatJob, ChoiceEnd, TextDelta, Usage
from minigemini.serving.server import (
    REQUESTS_PER_SECOND,
    WARNINGS_PER_MINUTE,
    RateLimit,
    listen,
    log_loop_error,
    make_server,
)
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState
from minigemini.serving.web.feedback import Feedback, FeedbackLog

ROOT = Path(__file__).parent.parent
GOOD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX: "


class Talkative:
    """A backend without a model: sends `pieces` texts of `characters` characters, with a pause after each."""

    name = "talkative"

    def __init__(self, pieces: int, characters: int = 10_000, pause: float = 0.0) -> None:
        self._pieces, self._text, self._pause = pieces, "x" * characters, pause

    async def answer(self, job: ChatJob):
        for _ in range(self._pieces):
            yield TextDelta(0, self._text)
            await asyncio.sleep(self._pause)
        yield ChoiceEnd(0, "stop")
        yield Usage(1, self._pieces)

    async def is_ready(self) -> bool:
        return True

    async def capabilities(self) -> Capabilities:
        return Capabilities()

    async def close(self) -> None:
        pass


@contextmanager
def running(backend: Talkative | None = None, **settings) -> Iterator[Served]:
    with serving(ServerState(ServerSettings(**settings), backend or Talkative(1))) as served:
        yield served


def connect(served: Served, data: bytes = b"", receive_bytes: int | None = None) -> socket.socket:
    host, port = served.url.removeprefix("http://").split(":")
    sock = socket.socket()
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.settimeout(10)
    sock.connect((host, int(port)))
    sock.sendall(data)
    return sock


def is_closed(sock: socket.socket, data: bytes) -> bool:
    """Return whether the server has closed a connection, or rejects further data."""
    sock.settimeout(0.05)
    try:
        sock.sendall(data)
        return sock.recv(2**16) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def is_open_after(sock: socket.socket, data: bytes) -> bool:
    """Send data, and return whether the connection is still open; data that cannot be sent in time is dropped."""
    try:
        sock.sendall(data)
    except TimeoutError:
        pass
    except OSError:
        return False
    return True


def read_all(sock: socket.socket) -> bytes:
    """Return everything until the server closes the connection."""
    found = b""
    try:
        while block := sock.recv(2**16):
            found += block
    except ConnectionResetError:
        pass
    return found


def post(fields: dict, *headers: str) -> bytes:
    body = json.dumps({"model": "talkative", "messages": [{"role": "user", "content": "x"}], **fields}).encode()
    lines = ["Host: localhost", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\n" + "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body
    )


def is_healthy_within_a_second(served: Served) -> bool:
    """Tries several times, since other processes may use the CPUs."""
    for _ in range(10):
        started = time.monotonic()
        with suppress(OSError), connect(served, GOOD) as sock:
            sock.settimeout(1)
            if sock.recv(20).startswith(b"HTTP/1.1 200") and time.monotonic() - started < 1:
                return True
    return False


# Too many connections


@pytest.mark.parametrize("bound", ["max_connections", "max_connections_per_address"])
@pytest.mark.parametrize("data", [b"", HALF, GOOD], ids=["idle", "partial headers", "keep-alive"])
def test_idle_connections_are_closed_first(bound, data):
    with running(**{bound: 20}, header_seconds=60) as served, ExitStack() as held:
        sockets = [held.enter_context(connect(served, data)) for _ in range(100)]
        assert is_healthy_within_a_second(served)
        closed = []
        for sock in sockets:
            sock.setblocking(False)
            try:
                while sock.recv(1000):
                    pass
                closed.append(True)
            except BlockingIOError:
                closed.append(False)
            except ConnectionResetError:
                closed.append(True)
        assert 75 <= sum(closed) <= 90
        if data != GOOD:  # these respond in arbitrary order
            assert closed[:75] == [True] * 75  # the longest idle ones


def test_a_connection_flood_does_not_block_other_clients():
    with running(max_connections=20, header_seconds=60) as served:
        ended, connected = threading.Event(), 0

        def flood() -> None:
            nonlocal connected
            held: list[socket.socket] = []
            while not ended.is_set():
                held.append(connect(served, HALF))
                connected += 1
                if len(held) > 100:
                    held.pop(0).close()
                time.sleep(0.001)
            for sock in held:
                sock.close()

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            while connected < 300 and thread.is_alive():
                assert is_healthy_within_a_second(served)
        finally:
            ended.set()
            thread.join()
        assert connected >= 300


def test_active_connections_are_not_closed_for_new_ones():
    with running(Talkative(20, 10, pause=0.05), max_connections=20) as served:
        asking = connect(served, post({"stream": True}))
        assert asking.recv(100).startswith(b"HTTP/1.1 200")
        with ExitStack() as held:
            for _ in range(100):
                held.enter_context(connect(served))
            while b"[DONE]" not in (block := asking.recv(2**16)):
                assert block
        asking.close()


@pytest.mark.parametrize("drop", [b"", b"x"])
def test_incomplete_headers_time_out(drop):
    with running(header_seconds=0.5) as served, connect(served, HALF) as sock:
        wait_until(lambda: is_closed(sock, drop), seconds=5)


def test_idle_keep_alive_connections_time_out():
    with running(header_seconds=0.5) as served, connect(served, GOOD) as sock:
        started = time.monotonic()
        assert read_all(sock).startswith(b"HTTP/1.1 200")
        assert time.monotonic() - started < 4


# Clients that do not read


def test_a_client_that_does_not_read_is_closed_and_frees_its_slot():
    with running(Talkative(2000), send_seconds=0.5, max_text_chars=1000) as served:
        with ExitStack() as held:
            sockets = [held.enter_context(connect(served, post({"stream": True}), 4096)) for _ in range(3)]
            assert [sock.recv(12) for sock in sockets] == [b"HTTP/1.1 200"] * 3
            wait_until(lambda: served.state.queue.admitted == 0, seconds=20)
        assert served.state.queue.running == 0
        assert not served.state.tasks


def test_a_client_that_does_not_read_small_responses_is_closed():
    with running(send_seconds=0.5, header_seconds=60) as served, connect(served, receive_bytes=4096) as sock:
        request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5000
        sock.settimeout(0.2)
        wait_until(lambda: not is_open_after(sock, request), seconds=10)


def test_a_slow_reader_gets_the_whole_response():
    settings = {"send_seconds": 2, "header_seconds": 60}
    with running(Talkative(400), **settings) as served, connect(served, post({}, "Connection: close"), 2**16) as sock:
        found, started = b"", time.monotonic()
        while block := sock.recv(2**16):
            found += block
            if time.monotonic() - started < 4:  # twice the limit for a client that does not read
                time.sleep(0.05)
    assert json.loads(found.partition(b"\r\n\r\n")[2])["choices"][0]["message"]["content"] == "x" * 4_000_000


# Bodies


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/health", b"/nowhere"])
@pytest.mark.parametrize("method", [b"POST", b"GET"])
def test_two_body_lengths_are_rejected_and_the_rest_is_not_parsed(path, method):
    head = method + b" " + path + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for lengths in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 99\r\n",
    ):
        with running() as served, connect(served, head + lengths + b"\r\n0\r\n\r\n" + GOOD) as sock:
            answer = read_all(sock)
        assert answer.startswith(b"HTTP/1.1 400")
        assert answer.count(b"HTTP/1.1") == 1
        assert b"Content-Length or Transfer-Encoding" in answer


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 5, 6\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Host: evil.example\r\n",
    ],
)
def test_ambiguous_framing_is_rejected(framing):
    request = b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n0\r\n\r\n"
    with running() as served, connect(served, request + GOOD) as sock:
        answer = read_all(sock)
    assert re.match(rb"HTTP/1.1 (400|501)", answer)
    assert answer.count(b"HTTP/1.1") == 1


def test_pipelined_requests_are_all_answered():
    with running(header_seconds=0.5) as served, connect(served, GOOD * 3 + post({}) + GOOD) as sock:
        assert read_all(sock).count(b"HTTP/1.1 200") == 5


def test_a_client_that_is_still_sending_receives_the_error():
    body = b"x" * 5_000_000
    head = f"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with running(api_keys=(KEY,)) as served, connect(served, head + body) as sock:
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"connection: close" in answer.lower()


def test_an_endless_rejected_body_is_cut_off():
    head = b"GET /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with running() as served, connect(served, head) as sock:
        assert sock.recv(12) == b"HTTP/1.1 200"
        wait_until(lambda: not is_open_after(sock, b"1\r\nx\r\n" * 1000), seconds=10)


@pytest.mark.parametrize("route", [b"GET /health", b"POST /v1/chat/completions"])
def test_bodies_in_tiny_chunks_are_rejected(route):
    head = (
        route + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with running() as served, connect(served, head) as sock:
        wait_until(lambda: not is_open_after(sock, b"1\r\n \r\n" * 5000), seconds=10)
        assert is_healthy_within_a_second(served)


def test_chunked_bodies_are_accepted():
    head, body = post({"metadata": {"x": "y" * 100_000}}).split(b"\r\n\r\n")
    head = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
    for size in (200, 5000):
        chunks = [body[at : at + size] for at in range(0, len(body), size)]
        sent = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
        with running(header_seconds=0.5) as served, connect(served, head + b"\r\n\r\n" + sent + b"0\r\n\r\n") as sock:
            assert read_all(sock).startswith(b"HTTP/1.1 200")


def test_only_reading_health_needs_no_key():
    with running(api_keys=(KEY,)) as served:
        assert httpx.get(f"{served.url}/health").status_code == 200
        assert httpx.head(f"{served.url}/health").status_code in (200, 405)
        assert httpx.post(f"{served.url}/health", json={}).status_code == 401
        assert httpx.put(f"{served.url}/health", json={}).status_code == 401


def test_non_ascii_keys_are_accepted():
    key = "clé-très-secrète-où"
    with running(api_keys=(key,)) as served:
        for sent, status in ((key.encode(), 200), (key.encode("latin-1"), 401), (b"\xff\xfe" * 20, 401), (b"x", 401)):
            headers = [(b"Authorization", b"Bearer " + sent)]
            assert httpx.get(f"{served.url}/v1/models", headers=headers).status_code == status


def test_other_hosts_and_origins_are_rejected_without_a_key():
    with running() as served:
        for headers, status in (
            ({"Host": "LOCALHOST."}, 200),
            ({"Host": "[::1]:8000", "Origin": "http://localhost:3000"}, 200),
            ({"Host": "[127.0.0.1].evil.com"}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
        ):
            assert httpx.get(f"{served.url}/v1/models", headers=headers).status_code == status


# Shutting down


@pytest.mark.parametrize("hurry", [False, True], ids=["SIGTERM", "SIGTERM twice"])
def test_responses_cut_off_after_the_drain_period_say_so(hurry):
    state = ServerState(
        ServerSettings(drain_seconds=60 if hurry else 0.3, concurrency=3), Talkative(10**6, 10, pause=0.01)
    )
    sock, lines = listen("127.0.0.1", 0), []
    server = make_server(state, sock, lines.append)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    wait_until(lambda: lines, seconds=20)
    served = Served(lines[0].split()[-1], state)
    with connect(served, post({"stream": True})) as streamed, connect(served, post({})) as whole, connect(served, HALF):
        assert streamed.recv(12) == b"HTTP/1.1 200"
        wait_until(lambda: state.queue.running == 2, seconds=5)
        started = time.monotonic()
        for _ in range(1 + hurry):
            server.handle_exit(signal.SIGTERM, None)
            time.sleep(0.2)
        text, answer = read_all(streamed).decode(), read_all(whole).decode()
    thread.join(10)
    assert not thread.is_alive()
    assert time.monotonic() - started < 5
    assert '"code": "shutting_down"' in text
    assert text.endswith("\r\n0\r\n\r\n")  # the stream is terminated properly after its last event
    assert answer.startswith("HTTP/1.1 503")
    assert "shutting_down" in answer
    assert not state.tasks


# Logs and disks


def test_a_flood_of_log_lines_is_counted_instead(caplog):
    limit, log = RateLimit(), logging.getLogger("minigemini.serving")
    caplog.handler.addFilter(limit)
    try:
        started = time.monotonic()
        with caplog.at_level(logging.INFO):
            for number in range(10_000):
                log.info("%s %d", "GET", number)
                log.warning("invalid")
            seconds = time.monotonic() - started
            time.sleep(1.05)
            log.info("%s %d", "GET", 1)
    finally:
        caplog.handler.removeFilter(limit)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) <= REQUESTS_PER_SECOND * (seconds + 2) + WARNINGS_PER_MINUTE
    assert re.fullmatch(r"GET 1 \(\d+ more like this were not logged\)", lines[-1])


def test_a_connection_that_cannot_be_accepted_logs_one_line(caplog):
    loop = asyncio.new_event_loop()
    context = {
        "message": "socket.accept() out of system resource",
        "socket": None,
        "exception": OSError(24, "too many"),
    }
    log_loop_error(loop, context)
    assert [record.getMessage() for record in caplog.records] == ["cannot accept a connection: too many"]
    assert caplog.records[0].exc_info is None
    log_loop_error(loop, {"message": "an internal error", "exception": KeyError("x")})
    assert caplog.records[1].exc_info  # keeps its traceback
    loop.close()


@pytest.fixture(scope="module")
def limited_server(tmp_path_factory):
    """`minigemini serve` with at most 1,024 open files and its log in a file."""
    log = tmp_path_factory.mktemp("limited_server") / "log"
    command = f'ulimit -n 1024; exec "{sys.executable}" -m minigemini serve --port 0 --drain-seconds 5'
    process = subprocess.Popen(
        ["sh", "-c", command], cwd=ROOT, stderr=log.open("w"), env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        wait_until(lambda: "listening on" in log.read_text(), seconds=120)
        yield Served(re.search(r"listening on (http://\S+?)/v1", log.read_text())[1], None), process, log
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, and more descriptors than other systems allow")
def test_more_idle_connections_than_file_descriptors(limited_server):
    served, process, log = limited_server
    with ExitStack() as held:
        for _ in range(2):
            for number in range(1100):
                held.enter_context(connect(served, HALF if number % 2 else b""))
            assert is_healthy_within_a_second(served)
            assert len(os.listdir(f"/proc/{process.pid}/fd")) < 800
    assert log.stat().st_size < 10_000


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit of another process")
def test_requests_are_answered_when_the_disk_is_full(limited_server):
    import resource

    served, process, _ = limited_server
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
    for stream in (True, False):
        request = {"model": "nano", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, "stream": stream}
        assert httpx.post(f"{served.url}/v1/chat/completions", json=request, timeout=60).status_code == 200


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM")
def test_sigterm_ends_the_process_with_open_connections(limited_server):
    served, process, _ = limited_server
    with connect(served), connect(served, HALF), connect(served, GOOD):
        process.terminate()
        assert process.wait(30) in (0, -signal.SIGTERM)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_votes_on_a_full_disk():
    with pytest.raises(RequestError, match="not saved: No space left"):
        FeedbackLog(Path("/dev/full")).add(Feedback("m", "q", "a", True), consent=True)


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_a_partly_written_vote_is_removed(tmp_path):
    import resource

    votes, file = FeedbackLog(tmp_path / "votes.jsonl"), tmp_path / "votes.jsonl"
    votes.add(Feedback("m", "q", "a", True), consent=True)
    whole = file.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, before[1]))
    try:
        with pytest.raises(RequestError, match="not saved"):
            votes.add(Feedback("m", "q", "a", True), consent=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.read_bytes() == whole
    votes.add(Feedback("m", "q", "a", False), consent=True)
    assert [json.loads(line)["liked"] for line in file.read_text().splitlines()] == [True, False]


def test_limits_are_validated():
    for field in ("max_connections", "max_connections_per_address", "header_seconds", "send_seconds"):
        with pytest.raises(RequestError, match=field):
            ServerSettings(**{field: -1})
    with pytest.raises(RequestError, match="max_waiting_bytes"):
        ServerSettings(max_waiting_bytes=1)
