"""Serve nano under load: many clients, clients that disconnect, SIGTERM under load, malformed images.

    python benchmarks/serving.py                    # all of it, some ten minutes
    python benchmarks/serving.py load --seconds 60 --clients 1 8 32
    python benchmarks/serving.py load --model small --concurrency 1 8 --workload same different text
    python benchmarks/serving.py pictures --count 2000

Clients and server share the machine. Every answer is compared with that of the same question asked alone, so lost and
swapped answers are counted.
"""

import argparse
import asyncio
import base64
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from malformed_images import BROKEN, malformed  # noqa: E402

QUESTIONS = ("What does the sign say?", "What do you see?", "How many things are there?")
TOPICS = ("a ship", "two brothers", "the sea", "a king", "winter", "a clock", "the moon", "bread")
PARTS = ("load", "disconnects", "sigterm", "pictures")
WORKLOADS = {
    "same": "twelve questions about four pictures",
    "different": "the same questions, each picture with one pixel that no other has",
    "text": "eight texts to continue by 64 tokens",
}
DIFFERENT = 96
"""Pictures of `different`; more than the server keeps the prefixes of."""


@dataclass
class Server:
    """`minigemini serve` in a separate process."""

    process: subprocess.Popen[str]
    url: str
    model: str = "nano"

    def body(self, image: bytes, question: str, **more: Any) -> dict[str, Any]:
        uri = "data:image/png;base64," + base64.b64encode(image).decode()
        content = [{"type": "image_url", "image_url": {"url": uri}}, {"type": "text", "text": question}]
        return {"model": self.model, "messages": [{"role": "user", "content": content}], "max_tokens": 64, **more}

    def figure(self, name: str) -> float:
        text = httpx.get(f"{self.url}/metrics", timeout=30).text
        return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(name + " ")))

    def cpu_seconds(self) -> float:
        """Processor time of the server so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def server(*arguments: str, model: str = "nano") -> Iterator[Server]:
    command = [sys.executable, "-m", "minigemini", "serve", "--port", "0", "--model", model, *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = next(line for line in process.stderr if "listening" in line)
    # The log must be read, or the server would block on a full pipe.
    drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
    try:
        yield Server(process, line.split("listening on ")[1].split("/v1")[0], model)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(90)
        drain.wait(10)


def cases() -> list[tuple[bytes, str]]:
    files = sorted((ROOT / "examples").glob("*.png"))
    return [(file.read_bytes(), question) for file in files for question in QUESTIONS]


def requests(served: Server, workload: str) -> list[tuple[str, dict[str, Any]]]:
    """Paths and bodies of the requests of a workload."""
    if workload == "text":
        texts = [f"Once upon a time there was a story about {topic}, and it began" for topic in TOPICS]
        bodies = [{"model": served.model, "prompt": text, "max_tokens": 64} for text in texts]
        return [("/v1/completions", body) for body in bodies]
    asked = cases()
    if workload == "different":
        asked = [changed(*asked[number % len(asked)], number) for number in range(DIFFERENT)]
    return [("/v1/chat/completions", served.body(*case)) for case in asked]


def changed(image: bytes, question: str, number: int) -> tuple[bytes, str]:
    """Give a picture a pixel of its own."""
    picture, file = Image.open(BytesIO(image)).convert("RGB"), BytesIO()
    picture.putpixel((number % 8, 0), (number, number, number))
    picture.save(file, "png")
    return file.getvalue(), question


async def streamed(
    client: httpx.AsyncClient, served: Server, path: str, body: dict[str, Any]
) -> tuple[int, str, float, float]:
    """Status, text, seconds to the first text and to the end."""
    started, first, text = time.perf_counter(), 0.0, ""
    async with client.stream("POST", served.url + path, json={**body, "stream": True}) as response:
        if response.status_code != 200:
            await response.aread()
            return response.status_code, "", 0.0, 0.0
        finished = False
        async for line in response.aiter_lines():
            if line == "data: [DONE]":
                finished = True
            elif line.startswith("data: "):
                choice = json.loads(line[6:])["choices"][0]
                delta = choice["delta"].get("content") if "delta" in choice else choice["text"]
                first = first or (time.perf_counter() - started if delta else 0.0)
                text += delta or ""
    return (200 if finished else 0), text, first, time.perf_counter() - started


async def answers_alone(served: Server, asked: list[tuple[str, dict[str, Any]]]) -> list[str]:
    async with httpx.AsyncClient(timeout=300) as client:
        return [(await streamed(client, served, *request))[1] for request in asked]


async def lean(
    served: Server, asked: list[tuple[str, dict[str, Any]]], alone: list[str], clients: int, seconds: float
) -> list[Any]:
    """Closed loops: each client asks, reads its answer to the end, and asks again."""
    async with httpx.AsyncClient(timeout=900, limits=httpx.Limits(max_connections=None)) as client:
        end, found = time.perf_counter() + seconds, []
        next_request = iter(range(10**9))

        async def ask() -> None:
            while time.perf_counter() < end:
                case = next(next_request) % len(asked)
                try:
                    status, text, first, total = await streamed(client, served, *asked[case])
                except httpx.HTTPError:
                    status, text, first, total = 0, "", 0.0, 0.0
                found.append((status, text == alone[case], first, total))

        started, cpu = time.perf_counter(), served.cpu_seconds()
        await asyncio.gather(*(ask() for _ in range(clients)))
        took, cpu = time.perf_counter() - started, served.cpu_seconds() - cpu
    good = [entry for entry in found if entry[0] == 200]
    first, total = (sorted(entry[at] for entry in good) for at in (2, 3))
    row: list[Any] = [clients, len(found), f"{len(good) / took:.2f}", f"{cpu / max(1, len(good)):.3f}"]
    row += [f"{share(times, part):.2f}" for times in (first, total) for part in (0.5, 0.99)]
    return [*row, len(found) - len(good), sum(not entry[1] for entry in good)]


def share(times: list[float], part: float) -> float:
    return times[min(len(times) - 1, round(part * (len(times) - 1)))] if times else float("nan")


def load(args: argparse.Namespace) -> None:
    columns = [
        "workload",
        "at once",
        "clients",
        "answers",
        "per second",
        "CPU s per answer",
        "first text p50, s",
        "p99",
    ]
    columns += ["total p50, s", "p99", "lost", "other than alone"]
    print("\n".join(f"{name}: {meaning}" for name, meaning in WORKLOADS.items() if name in args.workload))
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    queue = str(max(args.clients))
    for workload in args.workload:
        with server("--concurrency", "1", model=args.model) as served:
            alone = asyncio.run(answers_alone(served, requests(served, workload)))
        for concurrency in args.concurrency:
            with server("--concurrency", str(concurrency), "--queue", queue, model=args.model) as served:
                asked = requests(served, workload)
                asyncio.run(answers_alone(served, asked[:2]))  # the first requests of a process are slower
                for clients in args.clients:
                    row = asyncio.run(lean(served, asked, alone, clients, args.seconds))
                    print("| " + " | ".join(map(str, [workload, concurrency, *row])) + " |", flush=True)
    print()


def disconnects(args: argparse.Namespace) -> None:
    """Clients that disconnect before the first text, during the answer, and in the queue."""
    with server() as served:
        before = memory(served)
        asyncio.run(leave(served, args.disconnects))
        deadline = time.monotonic() + 60
        while served.figure("minigemini_running") or served.figure("minigemini_inside"):
            if time.monotonic() > deadline:
                break
            time.sleep(0.2)
        left = served.figure("minigemini_running"), served.figure("minigemini_inside")
        body = served.body(*cases()[0], max_tokens=8)
        status = httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=60).status_code
        noticed = served.figure("minigemini_disconnects_total")
        held = f"{left[0]:.0f} slots and {left[1]:.0f} places held"
        growth = f"memory {before:.0f} to {memory(served):.0f} MB"
        print(f"{args.disconnects} clients left, {noticed:.0f} unanswered: {held}, next: {status}, {growth}\n")


async def leave(served: Server, count: int) -> None:
    asked = cases()
    async with httpx.AsyncClient(timeout=300, limits=httpx.Limits(max_connections=None)) as client:

        async def come_and_go(number: int) -> None:
            body = {**served.body(*asked[number % len(asked)]), "stream": number % 2 == 0}
            try:
                async with asyncio.timeout(0.02 + 0.6 * (number % 17) / 17):
                    await client.post(f"{served.url}/v1/chat/completions", json=body)
            except TimeoutError:
                pass

        for start in range(0, count, 20):
            await asyncio.gather(*(come_and_go(number) for number in range(start, min(count, start + 20))))


def sigterm(args: argparse.Namespace) -> None:
    with server() as served:
        done = asyncio.run(end_under_load(served, args.accepted))
        code = served.process.wait(90)
        whole = f"{done['200']} answered whole, {done['other']} not"
        print(f"SIGTERM with {args.accepted} requests accepted: {whole}; exit {code}\n")


async def end_under_load(served: Server, clients: int) -> Counter[str]:
    async with httpx.AsyncClient(timeout=300, limits=httpx.Limits(max_connections=None)) as client:
        asked = cases()
        tasks = [
            asyncio.create_task(
                streamed(client, served, "/v1/chat/completions", served.body(*asked[number % len(asked)]))
            )
            for number in range(clients)
        ]
        while served.figure("minigemini_inside") < clients and not all(task.done() for task in tasks):
            await asyncio.sleep(0.02)
        served.process.send_signal(signal.SIGTERM)
        done: Counter[str] = Counter()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            done["200" if not isinstance(result, BaseException) and result[0] == 200 else "other"] += 1
        return done


def images(args: argparse.Namespace) -> None:
    """Send malformed images one at a time; the server's memory is limited to its current size plus 1.5 GB."""
    statuses: Counter[tuple[str, int]] = Counter()
    wrong = 0
    with server() as served, httpx.Client(timeout=120) as client:
        client.post(f"{served.url}/v1/chat/completions", json=served.body(*cases()[0], max_tokens=1))
        status = Path(f"/proc/{served.process.pid}/status").read_text()
        size = int(status.split("VmSize:")[1].split()[0]) * 1024
        cap = size + 1536 * 2**20
        resource.prlimit(served.process.pid, resource.RLIMIT_AS, (cap, cap))
        before = memory(served)
        for kind, certainty, data in malformed(args.count, args.seed):
            body = served.body(data, "What is it?", max_tokens=1)
            answer = client.post(f"{served.url}/v1/chat/completions", json=body).status_code
            statuses[kind, answer] += 1
            wrong += answer != 400 and not (answer == 200 and certainty != BROKEN)
        alive = client.get(f"{served.url}/health").status_code
        peak = int(Path(f"/proc/{served.process.pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    print("| kind | " + " | ".join(map(str, sorted({answer for _, answer in statuses}))) + " |")
    print("|---|" + "---|" * len({answer for _, answer in statuses}))
    for kind in dict.fromkeys(kind for kind, _ in statuses):
        counts = [statuses[kind, answer] for answer in sorted({answer for _, answer in statuses})]
        print(f"| {kind.replace('_', ' ')} | " + " | ".join(map(str, counts)) + " |")
    growth = f"memory {before:.0f} MB, at most {peak:.0f} MB"
    print(f"{args.count} pictures, {wrong} answered wrongly; /health {alive}; {growth}\n")


def memory(served: Server) -> float:
    """Resident memory, MB."""
    return int(Path(f"/proc/{served.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--concurrency", nargs="+", type=int, default=[1, 8], help="requests at once, a run each")
    parser.add_argument("--workload", nargs="+", choices=WORKLOADS, default=["same"])
    parser.add_argument("--disconnects", type=int, default=200)
    parser.add_argument("--accepted", type=int, default=16)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for part in args.parts:
        globals()[part](args)


if __name__ == "__main__":
    main()
