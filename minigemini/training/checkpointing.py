"""Atomic checkpoints: written to a temporary folder, flushed, hashed and renamed; verified before use."""

import re
import shutil
from pathlib import Path

from ..io.atomic_write import flush, settle
from ..io.hashes import SUMS, DamagedFileError, check_sums, files_of, read_sums, write_sums

__all__ = [
    "DamagedFileError",
    "checkpoints",
    "finalize",
    "keep_newest",
    "newest_complete",
    "step_of",
    "sweep",
    "verify",
]

_NAME = re.compile(r"checkpoint-(\d+)")


def finalize(partial: Path, final: Path) -> None:
    """Hash and flush a written folder, then rename it to the checkpoint `final` in the same parent folder.

    Raises:
        OSError: It cannot be written.
    """
    write_sums(partial)
    settle(partial)
    if final.exists():  # a damaged checkpoint of the same step, or an earlier copy of this one
        shutil.rmtree(final)
    partial.rename(final)
    flush(final.parent)


def verify(checkpoint: Path) -> None:
    """Verify a checkpoint's files against its list of hashes.

    Raises:
        DamagedFileError: A file is missing, not listed, or has a different hash.
    """
    sums = read_sums(checkpoint)
    if sums is None:
        raise DamagedFileError(f"{checkpoint}: {SUMS} is missing")
    if unlisted := sorted(set(files_of(checkpoint)) - sums.keys()):
        raise DamagedFileError(f"{checkpoint}: {SUMS} does not list {unlisted[0]}")
    check_sums(checkpoint, sums)


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints of a run, complete or damaged, newest first."""
    found = [path for path in folder.glob("checkpoint-*") if _NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    """Number of optimizer steps in a checkpoint's name."""
    match = _NAME.fullmatch(checkpoint.name)
    assert match is not None
    return int(match[1])


def newest_complete(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest complete checkpoint, and the problems of newer ones, one line each.

    Raises:
        DamagedFileError: There are checkpoints, but none is complete.
    """
    problems = []
    for checkpoint in checkpoints(folder):
        try:
            verify(checkpoint)
        except DamagedFileError as error:
            problems.append(str(error))
            continue
        return checkpoint, problems
    if problems:
        raise DamagedFileError(f"no checkpoint is complete ({'; '.join(problems)}); remove them to start over")
    return None, []


def keep_newest(folder: Path, count: int) -> None:
    """Remove all but the newest `count` checkpoints."""
    for checkpoint in checkpoints(folder)[count:]:
        # Rename first: a kill during removal must not leave a folder that looks like a checkpoint.
        removed = checkpoint.with_name(f".{checkpoint.name}.removed")
        shutil.rmtree(removed, ignore_errors=True)
        checkpoint.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove partly written and partly removed checkpoints of a killed run."""
    for pattern in (".checkpoint-*.partial", ".checkpoint-*.removed"):
        for leftover in folder.glob(pattern):
            shutil.rmtree(leftover, ignore_errors=True)
