"""Broken and hostile images: their cost, and that none crashes a decoder.

    python benchmarks/images.py                         # all of it, some minutes
    python benchmarks/images.py costs                   # files made to be slow, with bounds and without
    python benchmarks/images.py mutated --count 6000 --served 600 --paged 600 --asked 60

`mutated` damages valid files (JPEG, PNG, WEBP, GIF; flips, cuts, splices, repeats and size fields) by seed. Most go
through `open_image` in one process; some go to a server by HTTP, through the page's handler and to `Engine.ask`. Every
process has a memory limit. A result is right if the file is read, or refused in one line, within two seconds.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]
from costly_images import (  # noqa: E402
    gif_before_image,
    gif_comment,
    jpeg_fill_bytes,
    jpeg_scans,
    jpeg_segments,
    png_one_byte_chunks,
)
from mutated_images import mutated  # noqa: E402

PARTS = ("costs", "mutated")
CAP_BYTES = 3 * 2**29
"""Memory that a process may use beyond what it has at its start, bytes."""
COSTLY: dict[str, Callable[[], bytes]] = {
    "JPEG, 300 scans of 64 megapixels": lambda: jpeg_scans(8_000, 300),
    "JPEG, 15 MB of fill bytes": lambda: jpeg_fill_bytes(15_000_000),
    "JPEG, 10⁶ APP segments": lambda: jpeg_segments(1_000_000),
    "PNG, 10⁶ chunks of one byte": lambda: png_one_byte_chunks(1_000_000),
    "GIF, comment of 20 MB": lambda: gif_comment(20_000_000),
    "GIF, 20 MB before the frame": lambda: gif_before_image(bytes(20_000_000)),
}
PLAIN = """
import sys, time
from PIL import Image
started = time.process_time()
try:
    Image.open(sys.argv[1]).convert("RGB")
    outcome = "read"
except Exception as error:
    outcome = type(error).__name__
print(f"{time.process_time() - started:.2f} s, {outcome}")
"""


def costs(args: argparse.Namespace) -> None:
    """CPU time with Pillow alone and with `open_image`, one row per file."""
    from minigemini.images.safe_images import ImageError, open_image

    print("| file | bytes | Pillow alone | `open_image` |\n|---|---|---|---|")
    for name, make in COSTLY.items():
        data = make()
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            try:
                command = [sys.executable, "-c", PLAIN, file.name]
                plain = subprocess.run(command, capture_output=True, text=True, timeout=args.patience).stdout.strip()
            except subprocess.TimeoutExpired:
                plain = f"more than {args.patience} s, stopped"
        started, outcome = time.process_time(), "read"
        try:
            open_image(data)
        except ImageError as error:
            outcome = error.problem.value
        print(f"| {name} | {len(data):,} | {plain} | {time.process_time() - started:.2f} s, {outcome} |", flush=True)
    print()


def cap(pid: int = 0) -> None:
    """Limit the address space of a process to its current size plus `CAP_BYTES`."""
    status = Path(f"/proc/{pid or 'self'}/status").read_text()
    most = int(status.split("VmSize:")[1].split()[0]) * 1024 + CAP_BYTES
    resource.prlimit(pid, resource.RLIMIT_AS, (most, most))


def mutated_images(args: argparse.Namespace) -> None:
    """Run all parts, one row each."""
    print("| through | files | read | refused | otherwise | slowest, s | memory at most, MB |")
    print("|---|---|---|---|---|---|---|")
    _served(args)
    _opened(args)
    _paged(args)
    _asked(args)
    print()


def _row(name: str, outcomes: Counter[str], slowest: float, memory: float) -> None:
    other = {what: number for what, number in outcomes.items() if what not in ("read", "refused")}
    others = ", ".join(f"{number} {what}" for what, number in other.items()) or "0"
    counts = f"{sum(outcomes.values()):,} | {outcomes['read']:,} | {outcomes['refused']:,}"
    print(f"| {name} | {counts} | {others} | {slowest:.2f} | {memory:.0f} |", flush=True)


def _try(files: Iterator[tuple[str, bytes]], take: Callable[[bytes], str]) -> tuple[Counter[str], float]:
    """Return the outcome of each file, and the longest time of one."""
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for kind, data in files:
        started = time.perf_counter()
        try:
            outcome = take(data)
        except Exception as error:  # noqa: BLE001 (the benchmark looks for unexpected errors)
            outcome = f"{kind}: {type(error).__name__}: {error}"[:80]
        took = time.perf_counter() - started
        slowest = max(slowest, took)
        outcomes[outcome] += 1
    return outcomes, slowest


def _peak_mb(pid: int | str = "self") -> float:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def _opened(args: argparse.Namespace) -> None:
    from minigemini.images.decoders import open_isolated
    from minigemini.images.safe_images import ImageError, open_image

    def take(opener: Callable[[bytes], object], data: bytes) -> str:
        try:
            opener(data)
        except ImageError as error:
            return "refused" if "\n" not in str(error) and "crashed" not in str(error) else str(error)[:80]
        return "read"

    cap()
    for name, opener, count in (
        ("`open_image`, in its process", open_image, args.count),
        ("`open_isolated`, as training and data doctor do", open_isolated, args.count // 4),
    ):
        outcomes, slowest = _try(mutated(count, args.seed), lambda data, opener=opener: take(opener, data))
        _row(name, outcomes, slowest, _peak_mb())


def _served(args: argparse.Namespace) -> None:
    from serving import server

    with server() as served, httpx.Client(timeout=120) as client:

        def take(data: bytes) -> str:
            body = served.body(data, "What is it?", max_tokens=1)
            answer = client.post(f"{served.url}/v1/chat/completions", json=body)
            if answer.status_code == 400 and answer.json()["error"]["code"] == "invalid_image":
                return "refused"
            return "read" if answer.status_code == 200 else f"status {answer.status_code}"

        take((ROOT / "examples" / "sign.png").read_bytes())
        cap(served.process.pid)
        outcomes, slowest = _try(mutated(args.served, args.seed + 1), take)
        alive = client.get(f"{served.url}/health").status_code
        _row(f"HTTP (/health {alive} afterwards)", outcomes, slowest, _peak_mb(served.process.pid))


def _paged(args: argparse.Namespace) -> None:
    from minigemini.inference import Sampling
    from minigemini.serving.api_errors import ApiError
    from minigemini.serving.image_urls import run_stoppable
    from minigemini.serving.server_settings import ServerSettings
    from minigemini.serving.web.gradio_adapter import build_job

    settings, sampling = ServerSettings(), Sampling(max_new_tokens=1)
    with tempfile.TemporaryDirectory() as folder:

        def take(data: bytes) -> str:
            file = Path(folder, "upload.png")
            file.write_bytes(data)
            question = {"text": "What is it?", "files": [str(file)]}
            try:
                asyncio.run(
                    run_stoppable(lambda stop: build_job(question, [], sampling, settings, Path(folder), stop=stop))
                )
            except ApiError:
                return "refused"
            return "read"

        outcomes, slowest = _try(mutated(args.paged, args.seed + 2), take)
    _row("the page's handler", outcomes, slowest, _peak_mb())


def _asked(args: argparse.Namespace) -> None:
    from minigemini.images.safe_images import ImageError
    from minigemini.inference import Engine, Sampling

    engine = Engine.load("nano", device="cpu")

    def take(data: bytes) -> str:
        try:
            engine.ask(BytesIO(data), "What is it?", Sampling(max_new_tokens=1))
        except ImageError:
            return "refused"
        return "read"

    outcomes, slowest = _try(mutated(args.asked, args.seed + 3), take)
    _row("`Engine.ask`, one token", outcomes, slowest, _peak_mb())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--served", type=int, default=600)
    parser.add_argument("--paged", type=int, default=600)
    parser.add_argument("--asked", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=int, default=120, help="seconds for Pillow alone")
    args = parser.parse_args()
    for part in args.parts:
        {"costs": costs, "mutated": mutated_images}[part](args)


if __name__ == "__main__":
    main()
