"""Serve nano to hostile clients: idle connections, deeply nested bodies, clients that do not read, floods, SIGTERM.

    python benchmarks/serving_limits.py                   # all of it, some three minutes
    python benchmarks/serving_limits.py idle --seconds 20

All requests go to a new server on 127.0.0.1 that may open 1,024 files; its log is measured, then removed.
"""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent
PARTS = ("quiet", "idle", "bodies", "unread", "logs", "sigterm")
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX: "
CHAT = b'{"model":"nano","messages":[%s]}'
WITH_MORE = b'{"model":"nano","messages":[{"role":"user","content":"x"}],%s}'
BODIES = {
    "4 MB of wrong parts": CHAT % (b'{"role":"user","content":[' + b",".join([b"{}"] * 1_300_000) + b"]}"),
    "10⁶ messages": CHAT % b",".join([b'{"role":"user","content":"x"}'] * 1_000_000),
    "a field name of 30 MB": WITH_MORE % (b'"%s":1' % (b"k" * 30_000_000)),
    "10⁶ fields": WITH_MORE % b",".join(b'"%d":1' % number for number in range(1_000_000)),
    "10⁷ empty lists": b"[" + b",".join([b"[]"] * 10_000_000) + b"]",
}


@dataclass
class Server:
    """`minigemini serve` in a separate process."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, data: bytes = b"", receive_bytes: int | None = None) -> socket.socket:
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", self.port))
        sock.sendall(data)
        return sock

    def health(self, timeout: float = 10) -> float:
        """Latency of /health in seconds; infinite if it does not answer."""
        started = time.monotonic()
        try:
            with self.connect(HEALTH) as sock:
                sock.settimeout(timeout)
                answered = sock.recv(20).startswith(b"HTTP/1.1 200")
        except OSError:
            answered = False
        return time.monotonic() - started if answered else float("inf")

    def post(self, body: bytes, timeout: float = 60) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=timeout) as client:
            headers = {"Content-Type": "application/json"}
            return client.post(f"{self.url}/v1/chat/completions", content=body, headers=headers)

    def inside(self) -> float:
        """Number of accepted requests."""
        text = httpx.get(f"{self.url}/metrics", trust_env=False, timeout=30).text
        return float(next(line.split()[-1] for line in text.splitlines() if line.startswith("minigemini_inside ")))

    def files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self, name: str = "VmRSS") -> int:
        """Resident memory, MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split(f"{name}:")[1].split()[0]) // 1024

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def server(*arguments: str) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = ["sh", "-c", 'ulimit -n 1024; exec "$@"', "sh", sys.executable, "-m", "minigemini", "serve"]
        with log.open("wb") as file:
            process = subprocess.Popen([*command, "--port", "0", *arguments], cwd=ROOT, stderr=file)
        try:
            while not (found := re.search(r"listening on http://127.0.0.1:(\d+)/v1", log.read_text(errors="replace"))):
                if process.poll() is not None:
                    sys.exit(log.read_text())
                time.sleep(0.2)
            served = Server(process, int(found[1]), log)
            served.post(CHAT % b'{"role":"user","content":"hi"}')
            yield served
        finally:
            process.kill()
            process.wait(10)


def quiet(_: argparse.Namespace) -> None:
    """CPU time and memory of the idle server, without connections and with 500 idle ones."""
    with server() as served, ExitStack() as held:
        for count in (0, 500):
            for _ in range(count):
                held.enter_context(served.connect())
            before = served.cpu_seconds()
            time.sleep(8)
            cpu = (served.cpu_seconds() - before) / 8
            print(f"quiet, {count} connections: {served.memory()} MB, {cpu:.1%} of a core")
    print()


def idle(args: argparse.Namespace) -> None:
    """Idle connections and incomplete headers; connections that the server closes are reopened."""
    with server() as served:
        ended = threading.Event()
        opened, most_files, waits = 0, 0, []

        def besiege() -> None:
            nonlocal opened
            held: list[socket.socket] = []
            while not ended.is_set():
                try:
                    held.append(served.connect(HALF if opened % 2 else b""))
                    opened += 1
                except OSError:
                    time.sleep(0.1)
                if len(held) > 1100:
                    held.pop(0).close()
                if opened > 1100:
                    time.sleep(0.002)

        thread = threading.Thread(target=besiege)
        thread.start()
        time.sleep(3)
        end = time.monotonic() + args.seconds
        while time.monotonic() < end:
            waits.append(served.health())
            most_files = max(most_files, served.files())
            time.sleep(0.5)
        ended.set()
        thread.join()
        slow = sum(wait > 1 for wait in waits)
        worst = max(waits)
        print(
            f"idle: {opened} connections in {args.seconds + 3:.0f} s; /health asked {len(waits)} times, "
            f"{slow} over 1 s, worst {worst:.2f} s; at most {most_files} files; "
            f"log {served.log.stat().st_size:,} bytes\n"
        )


def bodies(_: argparse.Namespace) -> None:
    """Deeply nested bodies one at a time, and one from many clients that do not read the answer."""
    print("| body | MB | status | seconds | answer, bytes | worst /health, s | memory, MB | at most, MB |")
    print("|---|---|---|---|---|---|---|---|")
    for name, body in BODIES.items():
        with server() as served:
            waits, answer, took = during(served, lambda served=served, body=body: served.post(body, timeout=120))
            length = len(answer.content)
            row = [name, len(body) // 10**6, answer.status_code, f"{took:.2f}", length, f"{max(waits, default=0):.2f}"]
            print("| " + " | ".join(map(str, [*row, served.memory(), served.memory("VmHWM")])) + " |", flush=True)
    body = BODIES["a field name of 30 MB"]
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: %d\r\n\r\n" % len(body)
    with server() as served, ExitStack() as held:
        before = served.memory()

        def flood() -> None:
            for _ in range(20):
                with suppress(OSError):  # refused while sending its body
                    held.enter_context(served.connect(head + body, receive_bytes=4096))
            time.sleep(3)

        waits, _, took = during(served, flood)
        print(
            f"\n20 clients with the 30 MB name that do not read: {took:.0f} s, worst /health {max(waits):.2f} s, "
            f"memory {before} to {served.memory()} MB, at most {served.memory('VmHWM')} MB\n"
        )


def during(served: Server, work):  # type: ignore[no-untyped-def]
    """Return the latency of /health during the work, the work's result and its duration."""
    waits, done = [], threading.Event()

    def ask() -> None:
        while not done.is_set():
            waits.append(served.health(60))
            time.sleep(0.02)

    thread = threading.Thread(target=ask)
    thread.start()
    started = time.monotonic()
    result = work()
    took = time.monotonic() - started
    done.set()
    thread.join()
    return waits, result, took


def unread(_: argparse.Namespace) -> None:
    """Clients that keep sending requests and read nothing."""
    with server() as served, ExitStack() as held:
        before, files = served.memory(), served.files()
        asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000
        for _ in range(20):
            with suppress(OSError):
                held.enter_context(served.connect(asked, receive_bytes=4096))
        time.sleep(3)
        held_now = served.files() - files
        time.sleep(17)
        print(
            f"unread: {held_now} connections that read nothing, {served.files() - files} of them 17 s later; "
            f"memory {before} to {served.memory()} MB, at most {served.memory('VmHWM')} MB\n"
        )


def logs(args: argparse.Namespace) -> None:
    """Rejected requests, as many as eight clients can send."""
    with server() as served:
        end, statuses = time.monotonic() + args.seconds, Counter[str]()

        def flood(request: bytes) -> None:
            while time.monotonic() < end:
                try:
                    with served.connect(request) as sock:
                        statuses[sock.recv(20)[9:12].decode()] += 1
                except OSError:
                    statuses["refused"] += 1

        refused = b"POST /v1/chat/completions HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n"
        threads = [threading.Thread(target=flood, args=(data,)) for data in (refused, b"nonsense\r\n\r\n") * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        text = served.log.read_bytes()
        lines = len(text.splitlines())
        print(f"logs: {dict(statuses)} in {args.seconds:.0f} s, {lines:,} lines, {len(text):,} bytes\n")


def sigterm(_: argparse.Namespace) -> None:
    """More requests are accepted than can be answered before the server exits."""
    with server("--drain-seconds", "1") as served:
        found: Counter[str] = Counter()
        asked = CHAT[:-1] % b'{"role":"user","content":"hi"}' + b',"n":8,"temperature":1,"stream":%s}'

        def ask(stream: bool) -> None:
            try:
                answer = served.post(asked % (b"true" if stream else b"false"))
                cut = "shutting_down" in answer.text
                found["cut off with an error" if cut else f"answered {answer.status_code}"] += 1
            except httpx.HTTPError:
                found["cut off"] += 1

        threads = [threading.Thread(target=ask, args=(number % 2 == 0,)) for number in range(60)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 5
        while served.inside() < 50 and time.monotonic() < deadline:
            time.sleep(0.02)
        started = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        code = served.process.wait(90)
        took = time.monotonic() - started
        for thread in threads:
            thread.join()
        others = ", ".join(f"{count} {what}" for what, count in sorted(found.items()))
        print(f"SIGTERM with 60 requests and 1 s to drain: {others}; exit {code} after {took:.1f} s\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    for part in args.parts:
        globals()[part](args)


if __name__ == "__main__":
    main()
