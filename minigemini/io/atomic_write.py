"""Atomic writing of files and folders: write to a temporary location, then rename."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .system import is_windows


@contextmanager
def atomic_write(path: Path, replace_folder: bool = False) -> Iterator[Path]:
    """Yield a temporary path on the same file system; the file or folder written there then replaces `path`.

    What was at `path` stays until all is written. Files get the permissions that the user's umask gives new ones. On
    failure the temporary folder is removed. A killed process leaves `.NAME.….partial`, which is never loaded.

    Args:
        path: the file or folder to write.
        replace_folder: replace a folder with files in it, too.

    Raises:
        OSError: The parent folder of `path` cannot be written to, or `path` is a folder that may not be replaced.
    """
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    try:
        yield aside / path.name
        settle(aside / path.name)
        if replace_folder and path.is_dir():
            os.rename(path, aside / f"{path.name}.replaced")
        os.replace(aside / path.name, path)
        flush(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


_DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
"""No space left, file size limit, or quota exceeded."""
_TORCH_WRITE_ERRORS = ("PytorchStreamWriter", "inline_container", "iostream error")
"""Messages of torch for failed writes, which lack the reason."""
_PROBE_BYTES = 2**20


def is_full_disk(error: BaseException, folder: Path) -> bool:
    """Whether writing failed because the disk is full.

    Args:
        error: The error of the writer, in the form of Python, torch or safetensors.
        folder: The destination. If the error lacks the reason, a test file is written there.
    """
    if isinstance(error, OSError):
        return error.errno in _DISK_FULL_ERRNOS
    if match := re.search(r"os error (\d+)", str(error)):  # safetensors
        return int(match[1]) in _DISK_FULL_ERRNOS
    return any(words in str(error) for words in _TORCH_WRITE_ERRORS) and not _has_space(folder)


def _has_space(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno not in _DISK_FULL_ERRNOS
    return True


def settle(path: Path) -> None:
    """Sync a file, or a folder with all that is in it, to disk, and give files the permissions of new ones.

    What safetensors writes, only its owner could read.
    """
    new = path.with_name(f".{path.name}.new")
    new.touch()
    mode = new.stat().st_mode
    new.unlink()
    for written in (*path.rglob("*"), path):
        if written.is_file():
            written.chmod(mode)
            flush(written)
        elif written.is_dir():
            flush(written)


def flush(path: Path) -> None:
    """Sync a file, or the entries of a folder, to disk, so that a rename never survives without its data."""
    if is_windows() and path.is_dir():  # folders cannot be opened
        return
    handle = os.open(path, os.O_RDWR if is_windows() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
