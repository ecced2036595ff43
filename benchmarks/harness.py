"""Shared by the benchmarks: command line, time, memory and result files."""

import argparse
import json
import platform
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

SIZES, DTYPES = ("normal", "hd"), ("float32", "bfloat16")


def run(
    description: str,
    measure: Callable[[str, torch.dtype, int], Any],
    report: Callable[[Any], None],
    sizes: Sequence[str] = SIZES,
    dtypes: Sequence[str] = DTYPES,
    repetitions: int = 5,
) -> None:
    """Measure every size and dtype that the command line asks for, report each, and keep them if a file is named.

    Args:
        description: shown by `--help`.
        measure: from size, dtype and repetitions to a dataclass of figures.
        report: prints the figures of one measurement.
        sizes, dtypes, repetitions: what is measured unless the command line says otherwise.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=SIZES, default=sizes)
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=dtypes)
    parser.add_argument("--repetitions", type=int, default=repetitions)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    results = []
    with torch.inference_mode():
        for size in args.size:
            for dtype in args.dtype:
                results.append(measure(size, getattr(torch, dtype), args.repetitions))
                report(results[-1])
    if args.json:
        machine = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
        document = {**machine, "threads": args.threads, "results": results}
        args.json.write_text(json.dumps(document, indent=2, default=asdict) + "\n")


def seconds(call: Callable[[], Any], now: Callable[[], float] = time.perf_counter) -> float:
    start = now()
    call()
    return now() - start


def peak_mib(call: Callable[[], Any]) -> float:
    """Highest anonymous memory during a call, beyond that before it; the mapped file is not counted."""
    peak, done = anonymous_mib(), threading.Event()
    before = peak

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.002):
            peak = max(peak, anonymous_mib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        kept = call()
    finally:
        done.set()
        watcher.join()
    del kept
    return peak - before


def anonymous_mib() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024
