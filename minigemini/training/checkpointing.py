"""Checkpoints that are whole or not there: written aside, flushed, listed by hash, renamed; checked when read."""

import re
import shutil
from pathlib import Path

from ..io.atomic_write import flush
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


def finalize(aside: Path, final: Path) -> None:
    """Make a finished folder the checkpoint `final`, beside which it lies.

    Raises:
        OSError: It cannot be written.
    """
    write_sums(aside)
    for path in (*aside.rglob("*"), aside):
        flush(path)
    if final.exists():  # a damaged one of the same step, or this one again
        shutil.rmtree(final)
    aside.rename(final)
    flush(final.parent)


def verify(checkpoint: Path) -> None:
    """Compare a checkpoint with its list of hashes.

    Raises:
        DamagedFileError: A file is missing, too many, or has other bytes.
    """
    sums = read_sums(checkpoint)
    if sums is None:
        raise DamagedFileError(f"{checkpoint}: {SUMS} is missing")
    if unlisted := sorted(set(files_of(checkpoint)) - sums.keys()):
        raise DamagedFileError(f"{checkpoint}: {SUMS} does not list {unlisted[0]}")
    check_sums(checkpoint, sums)


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run by their steps, newest first, whole or damaged."""
    found = [path for path in folder.glob("checkpoint-*") if _NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    """Optimiser steps done in it."""
    match = _NAME.fullmatch(checkpoint.name)
    assert match is not None
    return int(match[1])


def newest_complete(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that is whole, and what is wrong with those after it.

    Raises:
        DamagedFileError: There are checkpoints, but none is whole.
    """
    wrong = []
    for checkpoint in checkpoints(folder):
        try:
            verify(checkpoint)
        except DamagedFileError as error:
            wrong.append(str(error))
            continue
        return checkpoint, wrong
    if wrong:
        raise DamagedFileError(f"no checkpoint is whole ({'; '.join(wrong)}); remove them to begin anew")
    return None, []


def keep_newest(folder: Path, count: int) -> None:
    """Remove all but the newest few."""
    for checkpoint in checkpoints(folder)[count:]:
        # Renamed first: a kill while files are removed must not leave what looks like a checkpoint.
        doomed = checkpoint.with_name(f".{checkpoint.name}.removed")
        shutil.rmtree(doomed, ignore_errors=True)
        checkpoint.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what a killed run left half written or half removed."""
    for pattern in (".checkpoint-*.partial", ".checkpoint-*.removed"):
        for left in folder.glob(pattern):
            shutil.rmtree(left, ignore_errors=True)
