"""Whether a checkpoint is what was written: hashes, compared by default wherever a folder that has them is loaded."""

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
"""Environment variable that switches the comparison off where it is 0."""
_FIX = (
    "copy or fetch it again, or, if you changed it yourself, write new hashes with `minigemini verify FOLDER --write`"
)


def check_descriptions(folder: Path) -> None:
    """Compare all but the weights with their hashes, and see that nothing lies beside them that would be read.

    Raises:
        CheckpointError: A file is not what was written, is missing, or was added.
    """
    if (sums := _sums(folder)) is None:
        return
    with _told():
        if unlisted := sorted(
            name for name in files_of(folder) if name.endswith(MODEL_FILE_SUFFIXES) and name not in sums
        ):
            raise DamagedFileError(f"{folder}: {unlisted[0]} was added, {SUMS} does not list it")
        check_sums(folder, sums, lambda name: not _is_weights(name))


@contextmanager
def weights_checked(folder: Path) -> Iterator[None]:
    """Compare the weights with their hashes while the body reads them.

    Raises:
        CheckpointError: A file is not what was written, or is missing.
    """
    if (sums := _sums(folder)) is None:
        yield
        return
    with _told(), sums_checked_concurrently(folder, sums, _is_weights):
        yield


def check_folder(folder: Path) -> None:
    """Compare all files with their hashes, for folders so small that nothing is gained by less."""
    check_descriptions(folder)
    with weights_checked(folder):
        pass


def check_tensor_file(path: Path) -> None:
    """Compare a safetensors file with the hash in its header, if it has one.

    Raises:
        CheckpointError: It is not what was written.
    """
    if hashes_enabled():
        with _told("copy or make it again"):
            check_tensors(path)


def hashes_enabled() -> bool:
    """Whether hashes are compared."""
    return os.environ.get(SWITCH, "1") != "0"


def _sums(folder: Path) -> dict[str, str] | None:
    if not hashes_enabled():
        return None
    with _told():
        return read_sums(folder)


def _is_weights(name: str) -> bool:
    return name.endswith(".safetensors")


@contextmanager
def _told(fix: str = _FIX) -> Iterator[None]:
    """Say it as all errors of a checkpoint are said, with what to do."""
    try:
        yield
    except DamagedFileError as error:
        raise CheckpointError(f"{error}; {fix}") from None
