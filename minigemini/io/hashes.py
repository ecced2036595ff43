"""SHA256SUMS files: hashes of a folder's files, written with them and verified on loading.

The format is that of coreutils, so `sha256sum -c SHA256SUMS` verifies a folder without this package. Hashes detect
corruption, not tampering: anyone who can change a file can change its hash too.
"""

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from safetensors import SafetensorError, safe_open

if TYPE_CHECKING:
    from torch import Tensor

SUMS = "SHA256SUMS"
MODEL_FILE_SUFFIXES = (".safetensors", ".json", ".jinja", ".model", ".txt")
"""Suffixes of the files that are read when a model is loaded."""
_UNLISTED = (SUMS, "README.md", ".cache", ".git", ".gitattributes")
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_MOST_BYTES = 2**24
_CHUNK = 2**22
_THREADS = min(4, os.cpu_count() or 1)
"""Hashing releases the GIL; more threads than this would wait for the disk."""

OnProgress = Callable[[int], object]
"""Callback that receives the number of newly hashed bytes."""


class DamagedFileError(ValueError):
    """Files are missing or changed. The message names the first."""


def files_of(folder: Path) -> list[str]:
    """List the files of a folder that are hashed, by relative path.

    The model card, which users edit, and files of git and download tools are excluded.
    """
    names = (file.relative_to(folder) for file in sorted(folder.rglob("*")) if file.is_file())
    return [name.as_posix() for name in names if name.name not in _UNLISTED and name.parts[0] not in _UNLISTED]


def write_sums(folder: Path) -> None:
    """Write the SHA256SUMS file of a complete folder.

    Raises:
        OSError: It cannot be written.
    """
    hashes = hash_files([folder / name for name in files_of(folder)])
    lines = [f"{digest}  {file.relative_to(folder).as_posix()}\n" for file, digest in hashes.items()]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def read_sums(folder: Path) -> dict[str, str] | None:
    """Read the hashes by file name; None if the folder has no SHA256SUMS file.

    Raises:
        DamagedFileError: The list cannot be read, or names a file outside the folder.
    """
    path = folder / SUMS
    if not path.exists() and not path.is_symlink():
        return None
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise DamagedFileError(f"{path}: not a list of hashes")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        if isinstance(error, DamagedFileError):
            raise
        raise DamagedFileError(f"{path}: cannot be read ({error})") from None
    sums: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or PurePosixPath(match[2]).is_absolute() or ".." in PurePosixPath(match[2]).parts:
            raise DamagedFileError(f"{path}: line {number} is not the hash of a file in this folder")
        sums[match[2]] = match[1]
    if not sums:
        raise DamagedFileError(f"{path}: empty")
    return sums


def check_sums(
    folder: Path,
    sums: Mapping[str, str],
    wanted: Callable[[str], bool] = lambda name: True,
    on_progress: OnProgress | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Verify the files of a folder.

    Args:
        folder: The folder.
        sums: The result of `read_sums`.
        wanted: Selects the files to verify, by name.
        on_progress: Called with the number of newly hashed bytes.
        stop: Stops early when set.

    Raises:
        DamagedFileError: A file is missing or its hash differs.
    """
    names = [name for name in sums if wanted(name)]
    for name in names:
        if not (folder / name).is_file():
            raise DamagedFileError(f"{folder}: {name} is missing, though {SUMS} lists it")
    for file, digest in hash_files([folder / name for name in names], on_progress, stop).items():
        name = file.relative_to(folder).as_posix()
        if digest != sums[name] and not (stop is not None and stop.is_set()):
            raise DamagedFileError(f"{folder}: {name} has other bytes than {SUMS} lists")


@contextmanager
def sums_checked_concurrently(folder: Path, sums: Mapping[str, str], wanted: Callable[[str], bool]) -> Iterator[None]:
    """Verify hashes in threads while the block reads the same files, which is faster than doing both in sequence.

    Raises:
        DamagedFileError: As in `check_sums`. It replaces an error of the block, which the damage has caused.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        checked = pool.submit(check_sums, folder, sums, wanted, None, stop)
        try:
            yield
        except Exception:
            checked.result()
            raise
        except BaseException:  # do not delay Ctrl-C by hashing gigabytes
            stop.set()
            raise
        checked.result()


def hash_files(
    files: Iterable[Path], on_progress: OnProgress | None = None, stop: threading.Event | None = None
) -> dict[Path, str]:
    """SHA-256 of each file as hex, several files in parallel."""

    def hash_of(file: Path) -> str:
        digest, buffer = hashlib.sha256(), bytearray(_CHUNK)
        view = memoryview(buffer)
        with file.open("rb", buffering=0) as opened:
            while (count := opened.readinto(buffer)) and not (stop is not None and stop.is_set()):
                digest.update(view[:count])
                if on_progress is not None:
                    on_progress(count)
        return digest.hexdigest()

    listed = list(files)
    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(listed, pool.map(hash_of, listed), strict=True))


# A single safetensors file stores the hash of its content in its header.


def save_tensors(tensors: "Mapping[str, Tensor]", path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file with the hash of its content in its header.

    Raises:
        OSError: It cannot be written.
        SafetensorError: It cannot be written.
    """
    from safetensors.torch import save_file

    described = {"format": "pt", **(metadata or {})}
    save_file(dict(tensors), path, metadata={**described, "sha256": _content_hash(tensors.items(), described)})


def check_tensors(path: Path) -> bool:
    """Verify a safetensors file with the hash in its header; False if it has none.

    Raises:
        DamagedFileError: The file cannot be read, or its hash differs.
    """
    try:
        with safe_open(path, framework="pt") as file:
            described = dict(file.metadata() or {})
            expected = described.pop("sha256", None)
            if expected is None:
                return False
            found = _content_hash(((name, file.get_tensor(name)) for name in sorted(file.keys())), described)
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise DamagedFileError(f"{path}: cannot be read ({error})") from None
    if found != expected:
        raise DamagedFileError(f"{path}: holds other values than were written (its header has their hash)")
    return True


def _content_hash(tensors: "Iterable[tuple[str, Tensor]]", metadata: Mapping[str, str]) -> str:
    """SHA-256 of names, dtypes, shapes, values and metadata."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda entry: entry[0]):
        digest.update(f"{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        digest.update(cast(Any, tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()))
    digest.update("".join(f"{name}\0{metadata[name]}\0" for name in sorted(metadata)).encode())
    return digest.hexdigest()
