"""Measures free memory and disk space, and whether a model fits."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .system import PROC, is_windows, physical_bytes

CGROUPS = Path("/sys/fs/cgroup")
# For cgroup versions 2 and 1: subsystem, limit, usage, and the part of the usage that is file cache.
CGROUP_FILES = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)

DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Device files of the drivers of NVIDIA, AMD and WSL."""


def free_memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> dict[str, int]:
    """Free bytes by device: `cpu` (available memory, limited by cgroups), then `cuda:0` …"""
    free = {"cpu": min([_available(proc), *_left_by_cgroups(proc, cgroups)])}
    if not _may_have_gpu():
        return free
    import torch

    if torch.cuda.is_available():
        free |= {f"cuda:{index}": torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count())}
    return free


def free_disk(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not exist yet."""
    return shutil.disk_usage(
        next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    ).free


@dataclass(frozen=True)
class FitVerdict:
    """Whether a model fits on a device."""

    answer: Literal["yes", "with --device-map auto", "no"]
    reason: str = ""
    """The reason, if it does not fit."""


YES, SPREAD = FitVerdict("yes"), FitVerdict("with --device-map auto")


def fit_report(
    need: int, device: str, free: dict[str, int], quantized: bool, *, disk: int, rewritten: bool = False
) -> FitVerdict:
    """Check whether `need` bytes fit on a device.

    Weights that are not quantized can be spread over all devices, memory, and the disk, from which they are read again
    for every token. Quantized weights can only be spread over GPUs.

    Args:
        need: Bytes in memory.
        device: A key of `free`.
        free: Free bytes by device.
        quantized: Whether the weights are quantized.
        disk: Free bytes on disk.
        rewritten: Whether offloaded weights must be written to disk, because the checkpoint has another dtype.
    """
    if need <= free[device]:
        return YES
    lacking = f"{in_gb(need)} are needed, {device} has {in_gb(free[device])} free"
    if quantized:
        gpus = sum(size for name, size in free.items() if name.startswith("cuda"))
        if device.startswith("cuda") and need <= gpus:
            return SPREAD
        return FitVerdict("no", f"{lacking}, and quantized weights can only be spread over GPUs")
    on_disk = need - sum(free.values()) if rewritten else 0
    if on_disk <= disk:
        return SPREAD
    return FitVerdict(
        "no", f"{lacking}, and {in_gb(on_disk)} of the rest must be written to disk, which has {in_gb(disk)} free"
    )


def in_gb(size: int) -> str:
    """Format bytes as GB or MB."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"


def _may_have_gpu() -> bool:
    """Whether a GPU driver is loaded; if not, importing torch, which takes seconds, is unnecessary."""
    return is_windows() or any(os.path.exists(driver) for driver in DRIVERS)


def _available(proc: Path) -> int:
    """Memory available without swapping; total memory if the system does not report it, or 0 if unknown."""
    try:
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return physical_bytes() or 0


def _left_by_cgroups(proc: Path, cgroups: Path) -> list[int]:
    """Bytes left within the limit of each cgroup of this process, including parent groups."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    left = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for subsystem, limit, use, cache in CGROUP_FILES:
            if subsystem in controllers.split(","):
                group = cgroups / subsystem / path.lstrip("/")
                for folder in (group, *group.parents):
                    if folder.is_relative_to(cgroups) and (found := _left(folder, limit, use, cache)) is not None:
                        left.append(found)
    return left


def _left(folder: Path, limit: str, use: str, cache: str) -> int | None:
    try:
        most, used = (folder / limit).read_text().strip(), int((folder / use).read_text())
        stats = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    return None if most == "max" else max(0, int(most) - used + int(stats.get(cache, 0)))
