"""What differs between operating systems: memory of a process, locks on bytes of a file, signals, new processes.

Linux, macOS and Windows each lack some of it. Whatever cannot be had gives None or does nothing, as its docstring says;
nothing here raises because of where it runs.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROC = Path("/proc")


def is_windows() -> bool:
    return sys.platform == "win32"


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
    """Begin to count the peak anew. Only Linux can; elsewhere it stays that of the whole process."""
    try:
        (PROC / "self/clear_refs").write_text("5")
    except OSError:  # not there, or not ours to write
        return


def physical_bytes() -> int | None:
    """Memory of the machine; None if unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        pass
    try:
        import psutil  # accelerate brings it
    except ImportError:
        return None
    return int(psutil.virtual_memory().total)


def lock_byte(handle: int, place: int, *, wait: bool) -> bool:
    """Lock one byte of an open file for this process; the system lets go of it when the process ends.

    Where the system has no such locks, nobody is kept out.

    Args:
        handle: of a file open for writing; the byte need not be in it.
        place: offset of the byte.
        wait: until another process lets go of it.

    Returns:
        Whether this process has it now.
    """
    if sys.platform == "win32":
        import msvcrt

        while True:
            os.lseek(handle, place, os.SEEK_SET)
            try:
                msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            except OSError:
                if wait:  # it tries for ten seconds
                    continue
                return False
            return True
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, place)
    except (BlockingIOError, PermissionError):  # POSIX allows either
        return False
    return True


def unlock_byte(handle: int, place: int) -> None:
    """Let go of a byte that `lock_byte` has locked."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, place, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
        return
    try:
        import fcntl
    except ImportError:
        return
    fcntl.lockf(handle, fcntl.LOCK_UN, 1, place)


def read_at(handle: int, size: int, offset: int) -> bytes:
    """Up to so many bytes of an open file; moves its position."""
    os.lseek(handle, offset, os.SEEK_SET)
    return os.read(handle, size)


def start_method() -> str:
    """How worker processes start: forked on Linux, where they share what is imported and read; elsewhere spawned.

    macOS has `fork`, but its system libraries crash in forked processes.
    """
    return "fork" if sys.platform == "linux" and "fork" in multiprocessing.get_all_start_methods() else "spawn"


@contextmanager
def signal_blocked(which: signal.Signals) -> Iterator[None]:
    """Processes that begin in here never receive this signal; on Windows, where none can be blocked, they do."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [which])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
