"""Clients that hold connections, drip headers, do not read, or hide a request in another's body; all on loopback."""

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
from served import KEY, Served, serving
from waiting import wait_until

from minigemini.inference import RequestError
from minigemini.serving.backends import Capabilities, ChatJob, ChoiceEnd, TextDelta, Usage
from minigemini.serving.logs import REQUESTS_PER_SECOND, WARNINGS_PER_MINUTE, RateLimit, log_loop_error
from minigemini.serving.server import listen, make_server
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState
from minigemini.serving.web.feedback import Feedback, FeedbackLog

ROOT = Path(__file__).parent.parent
GOOD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX: "


class Talkative:
    """A backend that needs no model: it says so many pieces of so many characters, with a pause after each."""

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

    async def offers(self) -> Capabilities:
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


def is_refused(sock: socket.socket, data: bytes) -> bool:
    """Whether the server has closed a connection, or no longer takes what is sent."""
    sock.settimeout(0.05)
    try:
        sock.sendall(data)
        return sock.recv(2**16) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def sends(sock: socket.socket, data: bytes) -> bool:
    """Whether the connection still stands; what does not go out in time is left."""
    try:
        sock.sendall(data)
    except TimeoutError:
        pass
    except OSError:
        return False
    return True


def rest_of(sock: socket.socket) -> bytes:
    """All that comes until the server closes."""
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
    """Tried more than once, since the tests may share their processors with much else."""
    for _ in range(10):
        started = time.monotonic()
        with suppress(OSError), connect(served, GOOD) as sock:
            sock.settimeout(1)
            if sock.recv(20).startswith(b"HTTP/1.1 200") and time.monotonic() - started < 1:
                return True
    return False


# Too many connections


@pytest.mark.parametrize("bound", ["max_connections", "max_connections_per_address"])
@pytest.mark.parametrize("data", [b"", HALF, GOOD], ids=["idle", "half a head", "answered and kept"])
def test_idle_connections_make_room(bound, data):
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
        if data != GOOD:  # answers come in another order
            assert closed[:75] == [True] * 75  # those that idled longest


def test_who_comes_again_and_again_keeps_nobody_out():
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


def test_answers_are_not_given_up_for_newcomers():
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
def test_a_head_that_does_not_come_is_not_waited_for(drop):
    with running(header_seconds=0.5) as served, connect(served, HALF) as sock:
        wait_until(lambda: is_refused(sock, drop), seconds=5)


def test_kept_connections_end_too():
    with running(header_seconds=0.5) as served, connect(served, GOOD) as sock:
        started = time.monotonic()
        assert rest_of(sock).startswith(b"HTTP/1.1 200")
        assert time.monotonic() - started < 4


# Clients that do not read


def test_who_does_not_read_is_given_up_and_its_place_is_free():
    with running(Talkative(2000), send_seconds=0.5, max_text_chars=1000) as served:
        with ExitStack() as held:
            sockets = [held.enter_context(connect(served, post({"stream": True}), 4096)) for _ in range(3)]
            assert [sock.recv(12) for sock in sockets] == [b"HTTP/1.1 200"] * 3
            wait_until(lambda: served.house.gate.inside == 0, seconds=20)
        assert served.house.gate.running == 0
        assert not served.house.works


def test_who_does_not_read_small_answers_is_given_up_too():
    with running(send_seconds=0.5, header_seconds=60) as served, connect(served, receive_bytes=4096) as sock:
        asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5000
        sock.settimeout(0.2)
        wait_until(lambda: not sends(sock, asked), seconds=10)


def test_who_reads_slowly_gets_all_of_it():
    settings = {"send_seconds": 2, "header_seconds": 60}
    with running(Talkative(400), **settings) as served, connect(served, post({}, "Connection: close"), 2**16) as sock:
        found, started = b"", time.monotonic()
        while block := sock.recv(2**16):
            found += block
            if time.monotonic() - started < 4:  # twice as long as for a client that does not read
                time.sleep(0.05)
    assert json.loads(found.partition(b"\r\n\r\n")[2])["choices"][0]["message"]["content"] == "x" * 4_000_000


# Bodies


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/health", b"/nowhere"])
@pytest.mark.parametrize("method", [b"POST", b"GET"])
def test_two_lengths_are_refused_and_nothing_behind_them_is_answered(path, method):
    head = method + b" " + path + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for lengths in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 99\r\n",
    ):
        with running() as served, connect(served, head + lengths + b"\r\n0\r\n\r\n" + GOOD) as sock:
            answer = rest_of(sock)
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
def test_framing_in_doubt_is_refused(framing):
    request = b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\n" + framing + b"\r\n0\r\n\r\n"
    with running() as served, connect(served, request + GOOD) as sock:
        answer = rest_of(sock)
    assert re.match(rb"HTTP/1.1 (400|501)", answer)
    assert answer.count(b"HTTP/1.1") == 1


def test_requests_one_behind_the_other_are_all_answered():
    with running(header_seconds=0.5) as served, connect(served, GOOD * 3 + post({}) + GOOD) as sock:
        assert rest_of(sock).count(b"HTTP/1.1 200") == 5


def test_who_sends_an_unwanted_body_reads_why():
    body = b"x" * 5_000_000
    head = f"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with running(api_keys=(KEY,)) as served, connect(served, head + body) as sock:
        answer = rest_of(sock)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"connection: close" in answer.lower()


def test_an_unwanted_body_without_end_is_not_read_without_end():
    head = b"GET /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with running() as served, connect(served, head) as sock:
        assert sock.recv(12) == b"HTTP/1.1 200"
        wait_until(lambda: not sends(sock, b"1\r\nx\r\n" * 1000), seconds=10)


@pytest.mark.parametrize("route", [b"GET /health", b"POST /v1/chat/completions"])
def test_bodies_in_tiny_chunks_are_refused(route):
    head = (
        route + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with running() as served, connect(served, head) as sock:
        wait_until(lambda: not sends(sock, b"1\r\n \r\n" * 5000), seconds=10)
        assert is_healthy_within_a_second(served)


def test_bodies_in_chunks_are_read():
    head, body = post({"metadata": {"x": "y" * 100_000}}).split(b"\r\n\r\n")
    head = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
    for size in (200, 5000):
        chunks = [body[at : at + size] for at in range(0, len(body), size)]
        sent = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
        with running(header_seconds=0.5) as served, connect(served, head + b"\r\n\r\n" + sent + b"0\r\n\r\n") as sock:
            assert rest_of(sock).startswith(b"HTTP/1.1 200")


def test_only_reading_is_open_without_a_key():
    with running(api_keys=(KEY,)) as served:
        assert httpx.get(f"{served.url}/health").status_code == 200
        assert httpx.head(f"{served.url}/health").status_code in (200, 405)
        assert httpx.post(f"{served.url}/health", json={}).status_code == 401
        assert httpx.put(f"{served.url}/health", json={}).status_code == 401


def test_keys_outside_ascii_open():
    key = "clé-très-secrète-où"
    with running(api_keys=(key,)) as served:
        for sent, status in ((key.encode(), 200), (key.encode("latin-1"), 401), (b"\xff\xfe" * 20, 401), (b"x", 401)):
            headers = [(b"Authorization", b"Bearer " + sent)]
            assert httpx.get(f"{served.url}/v1/models", headers=headers).status_code == status


def test_foreign_pages_are_refused_without_a_key():
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
def test_answers_that_outlive_the_time_for_draining_say_so(hurry):
    house = ServerState(
        ServerSettings(drain_seconds=60 if hurry else 0.3, concurrency=3), Talkative(10**6, 10, pause=0.01)
    )
    sock, said = listen("127.0.0.1", 0), []
    server = make_server(house, sock, said.append)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    wait_until(lambda: said, seconds=20)
    served = Served(said[0].split()[-1], house)
    with connect(served, post({"stream": True})) as streamed, connect(served, post({})) as whole, connect(served, HALF):
        assert streamed.recv(12) == b"HTTP/1.1 200"
        wait_until(lambda: house.gate.running == 2, seconds=5)
        started = time.monotonic()
        for _ in range(1 + hurry):
            server.handle_exit(signal.SIGTERM, None)
            time.sleep(0.2)
        text, answer = rest_of(streamed).decode(), rest_of(whole).decode()
    thread.join(10)
    assert not thread.is_alive()
    assert time.monotonic() - started < 5
    assert '"code": "shutting_down"' in text
    assert text.endswith("\r\n0\r\n\r\n")  # the stream ends in order, after its last event
    assert answer.startswith("HTTP/1.1 503")
    assert "shutting_down" in answer
    assert not house.works


# Logs and disks


def test_a_flood_is_counted_instead_of_logged(caplog):
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


def test_what_cannot_be_accepted_takes_one_line(caplog):
    loop = asyncio.new_event_loop()
    context = {
        "message": "socket.accept() out of system resource",
        "socket": None,
        "exception": OSError(24, "too many"),
    }
    log_loop_error(loop, context)
    assert [record.getMessage() for record in caplog.records] == ["a connection was not accepted: too many"]
    assert caplog.records[0].exc_info is None
    log_loop_error(loop, {"message": "a fault of ours", "exception": KeyError("x")})
    assert caplog.records[1].exc_info  # keeps its traceback
    loop.close()


@pytest.fixture(scope="module")
def besieged(tmp_path_factory):
    """`minigemini serve` as users start it, allowed 1,024 files, its log on a full disk or in a file."""
    log = tmp_path_factory.mktemp("besieged") / "log"
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


@pytest.mark.skipif(sys.platform != "linux", reason="/proc, and more descriptors than other systems give")
def test_more_idle_connections_than_files(besieged):
    served, process, log = besieged
    with ExitStack() as held:
        for _ in range(2):
            for number in range(1100):
                held.enter_context(connect(served, HALF if number % 2 else b""))
            assert is_healthy_within_a_second(served)
            assert len(os.listdir(f"/proc/{process.pid}/fd")) < 800
    assert log.stat().st_size < 10_000


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process")
def test_a_full_disk_is_no_reason_not_to_answer(besieged):
    import resource

    served, process, _ = besieged
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
    for stream in (True, False):
        asked = {"model": "nano", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, "stream": stream}
        assert httpx.post(f"{served.url}/v1/chat/completions", json=asked, timeout=60).status_code == 200


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_sigterm_ends_the_program_whoever_is_connected(besieged):
    served, process, _ = besieged
    with connect(served), connect(served, HALF), connect(served, GOOD):
        process.terminate()
        assert process.wait(10) in (0, -signal.SIGTERM)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_votes_on_a_full_disk():
    with pytest.raises(RequestError, match="not kept: No space left"):
        FeedbackLog(Path("/dev/full")).keep(Feedback("m", "q", "a", True), agreed=True)


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of a process")
def test_half_a_vote_is_taken_back(tmp_path):
    import resource

    votes, file = FeedbackLog(tmp_path / "votes.jsonl"), tmp_path / "votes.jsonl"
    votes.keep(Feedback("m", "q", "a", True), agreed=True)
    whole = file.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, before[1]))
    try:
        with pytest.raises(RequestError, match="not kept"):
            votes.keep(Feedback("m", "q", "a", True), agreed=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.read_bytes() == whole
    votes.keep(Feedback("m", "q", "a", False), agreed=True)
    assert [json.loads(line)["liked"] for line in file.read_text().splitlines()] == [True, False]


def test_bounds_are_checked():
    for field in ("max_connections", "max_connections_per_address", "header_seconds", "send_seconds"):
        with pytest.raises(RequestError, match=field):
            ServerSettings(**{field: -1})
    with pytest.raises(RequestError, match="max_waiting_bytes"):
        ServerSettings(max_waiting_bytes=1)
