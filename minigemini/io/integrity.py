"""Verifies the hashes of checkpoints, by default whenever a folder with SHA256SUMS is loaded."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import CheckpointError
from .hashes import (
    MODEL_FILE_SUFFIXES,
    SUMS,
    DamagedFileError,
    check_sums,
    check_tensors,
    files_of,
    read_sums,
    sums_checked_concurrently,
)

SWITCH = "MINIGEMINI_VERIFY"
"""Environment variable that disables verification if set to 0."""
_FIX = (
    "copy or fetch it again, or, if you changed it yourself, write new hashes with `minigemini verify FOLDER --write`"
)


def check_descriptions(folder: Path) -> None:
    """Verify all files except weights, and check that no other files would be loaded.

    Raises:
        CheckpointError: A file was changed, removed or added.
    """
    if (sums := _sums(folder)) is None:
        return
    with _as_checkpoint_error():
        if unlisted := sorted(
            name for name in files_of(folder) if name.endswith(MODEL_FILE_SUFFIXES) and name not in sums
        ):
            raise DamagedFileError(f"{folder}: {unlisted[0]} was added, {SUMS} does not list it")
        check_sums(folder, sums, lambda name: not _is_weights(name))


@contextmanager
def weights_checked(folder: Path) -> Iterator[None]:
    """Verify the weights while the block reads them.

    Raises:
        CheckpointError: A file was changed or removed.
    """
    if (sums := _sums(folder)) is None:
        yield
        return
    with _as_checkpoint_error(), sums_checked_concurrently(folder, sums, _is_weights):
        yield


def check_folder(folder: Path) -> None:
    """Verify all files; for small folders."""
    check_descriptions(folder)
    with weights_checked(folder):
        pass


def check_tensor_file(path: Path) -> None:
    """Verify a safetensors file with the hash in its header, if it has one.

    Raises:
        CheckpointError: The file was changed.
    """
    if hashes_enabled():
        with _as_checkpoint_error("copy or make it again"):
            check_tensors(path)


def hashes_enabled() -> bool:
    """Whether hashes are verified."""
    return os.environ.get(SWITCH, "1") != "0"


def _sums(folder: Path) -> dict[str, str] | None:
    if not hashes_enabled():
        return None
    with _as_checkpoint_error():
        return read_sums(folder)


def _is_weights(name: str) -> bool:
    return name.endswith(".safetensors")


@contextmanager
def _as_checkpoint_error(fix: str = _FIX) -> Iterator[None]:
    """Raise errors as `CheckpointError`, with the fix."""
    try:
        yield
    except DamagedFileError as error:
        raise CheckpointError(f"{error}; {fix}") from None
