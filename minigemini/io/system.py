"""Platform-dependent functions: process memory, processor, byte-range locks, signals, and start methods.

Where a platform lacks a feature, functions return None or do nothing, as documented; none raises because of the
platform.
"""

import ctypes
import multiprocessing
import os
import platform
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

PROC = Path("/proc")


def is_windows() -> bool:
    return sys.platform == "win32"


def exit_with_parent() -> None:
    """End this process, which multiprocessing has started, as soon as its parent has ended, however that was."""

    def wait(parent: multiprocessing.process.BaseProcess) -> None:
        parent.join()
        os._exit(1)  # safe: files are written atomically

    if parent := multiprocessing.parent_process():
        Thread(target=wait, args=(parent,), daemon=True).start()


def peak_resident_bytes() -> int | None:
    """Peak resident memory of this process, since `reset_peak_resident` where supported; None if unknown."""
    try:
        status = (PROC / "self/status").read_text()
    except OSError:  # not Linux, or a container without it
        return _peak_by_getrusage()
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), None)


def _peak_by_getrusage() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def reset_peak_resident() -> None:
    """Reset the peak of `peak_resident_bytes`. Only Linux supports this; elsewhere it does nothing."""
    try:
        (PROC / "self/clear_refs").write_text("5")
    except OSError:  # missing, or no permission
        return


def physical_bytes() -> int | None:
    """Total memory of the machine; None if unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        pass
    try:
        import psutil  # accelerate brings it
    except ImportError:
        return None
    return int(psutil.virtual_memory().total)


def return_free_memory() -> None:
    """Return to the system what C's allocator keeps of freed memory; does nothing without glibc."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # another allocator, or Windows
        return


def multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for products of bfloat16; False where the system does not say."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(_processor_line("flags"))


def is_amd_processor() -> bool:
    """Whether the processor is AMD's; False where the system does not say."""
    return "AuthenticAMD" in [*_processor_line("vendor_id"), *platform.processor().split()]


def _processor_line(name: str) -> list[str]:
    """The words of a line about the first processor; none where the system has no such line."""
    try:
        lines = (PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        return []
    return next((line.split() for line in lines if line.startswith(name)), [])


def lock_byte(handle: int, offset: int, *, wait: bool) -> bool:
    """Lock one byte of an open file for this process, until the process ends.

    On systems without such locks, this always succeeds.

    Args:
        handle: Descriptor of a file open for writing, which may be shorter than the offset.
        offset: Offset of the byte.
        wait: Whether to wait until another process releases the lock.

    Returns:
        Whether this process holds the lock.
    """
    if sys.platform == "win32":
        import msvcrt

        while True:
            os.lseek(handle, offset, os.SEEK_SET)
            try:
                msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            except OSError:
                if wait:  # LK_LOCK gives up after ten seconds
                    continue
                return False
            return True
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, offset)
    except (BlockingIOError, PermissionError):  # POSIX allows either
        return False
    return True


def unlock_byte(handle: int, offset: int) -> None:
    """Release a lock of `lock_byte`."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, offset, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
        return
    try:
        import fcntl
    except ImportError:
        return
    fcntl.lockf(handle, fcntl.LOCK_UN, 1, offset)


def read_at(handle: int, size: int, offset: int) -> bytes:
    """Read up to `size` bytes of an open file at an offset; this moves its position."""
    os.lseek(handle, offset, os.SEEK_SET)
    return os.read(handle, size)


def start_method() -> str:
    """How to start worker processes: `fork` on Linux, where they share imports and data, and `spawn` elsewhere.

    macOS has `fork`, but its system libraries crash in forked processes.
    """
    return "fork" if sys.platform == "linux" and "fork" in multiprocessing.get_all_start_methods() else "spawn"


@contextmanager
def signal_blocked(which: signal.Signals) -> Iterator[None]:
    """Block a signal for processes started within the block. Has no effect on Windows."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [which])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
