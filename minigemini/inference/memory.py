"""How much memory this machine can still give, by device, and what of a model fits into it."""

import os
import sys
from pathlib import Path

from ..model.system import PROC, physical_bytes

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


def verdict(need: int, device: str, free: dict[str, int], quantised: bool) -> str:
    """Whether `need` bytes fit on a device: `yes`, `with --device-map auto`, or `no`.

    What is not quantised can always be spread: over all devices, memory, and the disk, from which it is read again for
    every token. What is quantised is spread over GPUs alone.
    """
    if need <= free[device]:
        return "yes"
    together = sum(size for name, size in free.items() if name.startswith("cuda"))
    spread = not quantised or (device.startswith("cuda") and need <= together)
    return "with --device-map auto" if spread else "no"


def _may_have_gpu() -> bool:
    """Whether a GPU's driver is loaded: where none is, torch, which takes seconds to import, has nothing to add."""
    return sys.platform == "win32" or any(os.path.exists(driver) for driver in DRIVERS)


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
