"""Locks on folders and outputs, so that only one process writes to them at a time.

The process id is stored in a file next to the lock. The operating system releases a lock when its process ends for any
reason, so a killed process does not block others.
"""

import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = ".lock"
LOCK_TIMEOUT_SECONDS = 3.0
"""How long to wait for a lock: child processes of a killed one may hold it for a moment."""


class FolderInUseError(ValueError):
    """Another process holds the lock. The message is one line that names the folder and the process."""


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Create a folder if needed, and hold its lock while the block runs.

    Raises:
        FolderInUseError: Another process, or another part of this one, holds the lock.
        OSError: The folder cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
    with _hold(folder / LOCK, folder):
        yield


@contextmanager
def output_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder that is written atomically; the lock file is next to it.

    Raises:
        FolderInUseError: Another process, or another part of this one, holds the lock.
        OSError: The lock file cannot be created.
    """
    with _hold(path.with_name(f".{path.name}{LOCK}"), path):
        yield


@contextmanager
def _hold(file: Path, what: Path) -> Iterator[None]:
    # In a separate file, because Windows does not allow reading a locked file.
    holder, lock = file.with_name(f"{file.name}.holder"), FileLock(file)
    try:
        lock.acquire(timeout=LOCK_TIMEOUT_SECONDS)
        while not file.exists():  # the previous holder removed it just now; others would lock a new file
            lock.release()
            lock.acquire(timeout=LOCK_TIMEOUT_SECONDS)
    except Timeout:
        raise FolderInUseError(
            f"{what}: {_holder_name(holder)} is writing there; wait until it ends, or name another place"
        ) from None
    try:
        holder.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        for leftover in (holder, file):
            with suppress(OSError):  # Windows does not remove open files; the lock is released anyway
                leftover.unlink()
        lock.release()


def _holder_name(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8", errors="replace")[:200] or "another process"
    except OSError:  # the process has just started or ended
        return "another process"
