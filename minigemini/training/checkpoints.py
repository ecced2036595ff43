"""Checkpoints that are whole or not there: written aside, flushed, listed by hash, renamed; checked when read."""

import hashlib
import json
import re
import shutil
from pathlib import Path

from ..model.writing import flush

MANIFEST = "manifest.json"
_NAME = re.compile(r"checkpoint-(\d+)")


class DamagedError(ValueError):
    """A checkpoint that is not what was written; the message names the file."""


def seal(aside: Path, final: Path) -> None:
    """Make a finished folder the checkpoint `final`, beside which it lies.

    Raises:
        OSError: It cannot be written.
    """
    listed = {
        str(file.relative_to(aside)): {"bytes": file.stat().st_size, "sha256": hash_of(file)}
        for file in sorted(aside.rglob("*"))
        if file.is_file()
    }
    (aside / MANIFEST).write_text(json.dumps(listed, indent=1) + "\n")
    for path in (*aside.rglob("*"), aside):
        flush(path)
    if final.exists():  # a damaged one of the same step, or this one again
        shutil.rmtree(final)
    aside.rename(final)
    flush(final.parent)


def check(checkpoint: Path) -> None:
    """Compare a checkpoint with its manifest.

    Raises:
        DamagedError: A file is missing, too many, or has other bytes.
    """
    try:
        listed = json.loads((checkpoint / MANIFEST).read_text())
        expected = {name: (entry["bytes"], entry["sha256"]) for name, entry in listed.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{checkpoint}: {MANIFEST} cannot be read ({error})") from None
    found = {str(file.relative_to(checkpoint)) for file in checkpoint.rglob("*") if file.is_file()} - {MANIFEST}
    if odd := sorted(found ^ expected.keys()):
        raise DamagedError(f"{checkpoint}: {odd[0]} is {'not listed' if odd[0] in found else 'missing'}")
    for name, (size, digest) in expected.items():
        file = checkpoint / name
        if file.stat().st_size != size:
            raise DamagedError(f"{checkpoint}: {name} has {file.stat().st_size:,} bytes, not {size:,}")
        if hash_of(file) != digest:
            raise DamagedError(f"{checkpoint}: {name} has other bytes than were written")


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run by their steps, newest first, whole or damaged."""
    found = [path for path in folder.glob("checkpoint-*") if _NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    """Optimiser steps done in it."""
    match = _NAME.fullmatch(checkpoint.name)
    assert match is not None
    return int(match[1])


def newest_whole(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that is whole, and what is wrong with those after it.

    Raises:
        DamagedError: There are checkpoints, but none is whole.
    """
    wrong = []
    for checkpoint in checkpoints(folder):
        try:
            check(checkpoint)
        except DamagedError as error:
            wrong.append(str(error))
            continue
        return checkpoint, wrong
    if wrong:
        raise DamagedError(f"no checkpoint is whole ({'; '.join(wrong)}); remove them to begin anew")
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


def hash_of(file: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
