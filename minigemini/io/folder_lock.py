"""One process at a time writes into a folder, or makes an output: a lock held meanwhile, its process id beside it.

The system lets go of a lock when its process ends, however it ends, so that one left by a kill keeps nobody out.
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
"""How long a lock is waited for: processes that a killed one had started may hold it for a moment."""


class FolderInUseError(ValueError):
    """Another process works there; the message is one line that names the folder and the process."""


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Make a folder if it is not there, and hold it: what is written into it while the block runs is ours alone.

    Raises:
        FolderInUseError: Another process, or another part of this one, holds it.
        OSError: It cannot be made or written into.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
    with _held(folder / LOCK, folder):
        yield


@contextmanager
def output_lock(path: Path) -> Iterator[None]:
    """Hold the name of a file or folder that is written aside and renamed; the lock lies beside it meanwhile.

    Raises:
        FolderInUseError, OSError: As of `folder_lock`.
    """
    with _held(path.with_name(f".{path.name}{LOCK}"), path):
        yield


@contextmanager
def _held(file: Path, what: Path) -> Iterator[None]:
    # Beside the lock, not in it: Windows lets nobody read a locked file.
    holder, lock = file.with_name(f"{file.name}.holder"), FileLock(file)
    try:
        lock.acquire(timeout=LOCK_TIMEOUT_SECONDS)
        while not file.exists():  # removed as we came in, by the one who held it: others would lock another file
            lock.release()
            lock.acquire(timeout=LOCK_TIMEOUT_SECONDS)
    except Timeout:
        raise FolderInUseError(
            f"{what}: {_said(holder)} is writing there; wait until it ends, or name another place"
        ) from None
    try:
        holder.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        for left in (holder, file):
            with suppress(OSError):  # Windows does not remove an open file; the lock is let go all the same
                left.unlink()
        lock.release()


def _said(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8", errors="replace")[:200] or "another process"
    except OSError:  # it has just begun, or just ended
        return "another process"
