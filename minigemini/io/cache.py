"""The folder of everything that is downloaded or built once and can be made again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .atomic_write import is_full_disk
from .errors import CheckpointError, one_line

SWITCH = "MINIGEMINI_CACHE"
"""Environment variable that names another folder."""


def cache_folder() -> Path:
    """Return `$MINIGEMINI_CACHE`, else `$XDG_CACHE_HOME/minigemini`, else `~/.cache/minigemini`. It need not exist."""
    if chosen := os.environ.get(SWITCH):
        return Path(chosen).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "minigemini"


@contextmanager
def writing_to_cache(folder: Path) -> Iterator[None]:
    """Report in one line that a folder of the cache cannot be written.

    Raises:
        CheckpointError: It cannot be written; the message names the reason and the fix.
    """
    try:
        yield
    except OSError as error:
        fix = "free some space" if is_full_disk(error, folder) else "make it writable"
        raise CheckpointError(
            f"{folder}: cannot be written ({error.strerror or one_line(error)}); {fix}, or set {SWITCH} to another "
            "folder"
        ) from None
