"""Write a file or a folder aside and rename it, so that whoever looks finds all of it or nothing."""

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
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a fresh folder beside `path` to write into; what is then in it under the name of `path` gets its place.

    A failure removes the folder; a kill leaves `.NAME.….partial`, which nothing loads by its name.

    Raises:
        OSError: `path` cannot be written beside.
    """
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    try:
        yield aside / path.name
        written = [aside / path.name, *(aside / path.name).rglob("*")]
        for file in written:
            if file.is_file():
                flush(file)
        os.replace(aside / path.name, path)
        flush(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


_NO_ROOM = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
"""No space left, a file larger than allowed, a quota that is used up."""
_WITHOUT_A_NUMBER = ("PytorchStreamWriter", "inline_container", "iostream error")
"""By these torch says that a file was not written, but not why."""
_PROBE_BYTES = 2**20


def is_full_disk(error: BaseException, folder: Path) -> bool:
    """Whether a file could not be written for want of room, and for no other reason.

    Args:
        error: by which the writer failed; torch and safetensors say it each in their own way.
        folder: where it wrote; where the error does not tell, a file is tried there.
    """
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    if said := re.search(r"os error (\d+)", str(error)):  # safetensors
        return int(said[1]) in _NO_ROOM
    return any(words in str(error) for words in _WITHOUT_A_NUMBER) and not _has_room(folder)


def _has_room(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno not in _NO_ROOM
    return True


def flush(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk: a name must not outlive the bytes it stands for."""
    if is_windows() and path.is_dir():  # no handle can be had on a folder
        return
    handle = os.open(path, os.O_RDWR if is_windows() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
