"""The threads that OpenMP keeps for torch: a team for every thread that has computed in parallel."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch

_PAUSE_SOFT = 1
"""`omp_pause_soft` of OpenMP 5.0, section 3.2.43: threads end, settings stay."""


def release_openmp_threads() -> None:
    """End the team of the calling thread; its next parallel operation starts another, in 0.1 ms.

    GNU's runtime lets threads spin at the end of an operation only while the teams of all threads fit the processors;
    otherwise they sleep, and each of the hundreds of small operations of a token waits until they are woken. A thread
    that is about to wait for another to decode should call this: a token takes about half the time
    (benchmarks/results/decode.md). Does nothing where torch comes with another runtime.
    """
    if (runtime := _gnu_runtime()) is not None:
        runtime.omp_pause_resource_all(_PAUSE_SOFT)


@cache
def _gnu_runtime() -> Any:
    """GNU's OpenMP runtime that torch has loaded, or None."""
    for path in (Path(torch.__file__).parent / "lib").glob("libgomp*"):
        runtime = ctypes.CDLL(str(path))
        if hasattr(runtime, "omp_pause_resource_all"):  # since GCC 9
            return runtime
    return None
