"""Write a file or a folder aside and rename it, so that whoever looks finds all of it or nothing."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
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
        os.rename(aside / path.name, path)
        flush(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def flush(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk: a name must not outlive the bytes it stands for."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
