"""How much memory and disk this machine can still give, and what of a model fits into it."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .system import PROC, is_windows, physical_bytes

CGROUPS = Path("/sys/fs/cgroup")
# Of cgroup versions 2 and 1: subsystem, limit, use, and what of the use is only a cache of files.
CGROUP_FILES = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)

DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Device files of NVIDIA's and AMD's drivers, and of Windows' for Linux programs."""


def free_memory(proc: Path = PROC, cgroups: Path = CGROUPS) -> dict[str, int]:
    """Free bytes by device: `cpu` (what is available, but no more than a container may use), then `cuda:0` …"""
    free = {"cpu": min([_available(proc), *_left_by_cgroups(proc, cgroups)])}
    if not _may_have_gpu():
        return free
    import torch

    if torch.cuda.is_available():
        free |= {f"cuda:{index}": torch.cuda.mem_get_info(index)[0] for index in range(torch.cuda.device_count())}
    return free


def free_disk(folder: Path) -> int:
    """Free bytes where a folder is, or will be."""
    return shutil.disk_usage(next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())).free


@dataclass(frozen=True)
class FitVerdict:
    """Whether a model can be loaded in one way on one device."""

    answer: Literal["yes", "with --device-map auto", "no"]
    reason: str = ""
    """Why not."""


YES, SPREAD = FitVerdict("yes"), FitVerdict("with --device-map auto")


def fit_report(
    need: int, device: str, free: dict[str, int], quantized: bool, *, disk: int, rewritten: bool = False
) -> FitVerdict:
    """Whether `need` bytes fit on a device.

    What is not quantised can be spread: over all devices, memory, and the disk, from which it is read again for every
    token. What is quantised is spread over GPUs alone.

    Args:
        need: bytes in memory.
        device: one of `free`.
        free: bytes by device.
        quantised: whether the weights are.
        disk: free bytes there.
        rewritten: whether what goes to the disk is written there, since the checkpoint has it in another dtype.
    """
    if need <= free[device]:
        return YES
    lacking = f"{in_gb(need)} are needed, {device} has {in_gb(free[device])} free"
    if quantized:
        gpus = sum(size for name, size in free.items() if name.startswith("cuda"))
        if device.startswith("cuda") and need <= gpus:
            return SPREAD
        return FitVerdict("no", f"{lacking}, and quantized weights are spread over GPUs alone")
    on_disk = need - sum(free.values()) if rewritten else 0
    if on_disk <= disk:
        return SPREAD
    return FitVerdict("no", f"{lacking}, and of the rest {in_gb(on_disk)} go to the disk, which has {in_gb(disk)} free")


def in_gb(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"


def _may_have_gpu() -> bool:
    """Whether a GPU's driver is loaded: where none is, torch, which takes seconds to import, has nothing to add."""
    return is_windows() or any(os.path.exists(driver) for driver in DRIVERS)


def _available(proc: Path) -> int:
    """What programs can have without swapping; where the system does not say so, all there is, or 0 if unknown."""
    try:
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return physical_bytes() or 0


def _left_by_cgroups(proc: Path, cgroups: Path) -> list[int]:
    """What is left below the limit of each group that this process is in, from its own up to the whole."""
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
