"""Manifests: which records of a file are not used, each with its reason, and where pictures that moved lie now.

JSON lines. The first names the file, what its pictures' paths start from, how many records it has and its size:

    {"manifest": 1, "file": "mix.json", "images": "pictures", "rows": 665298, "bytes": 1029814226}
    {"row": 12, "id": "000000033471", "fault": "unreadable picture", "reason": "coco/train2017/…: no such file"}
    {"row": 40, "id": "000000052846", "moved": {"ocr_vqa/images/7.jpg": "ocr_vqa/images/7.png"}}

Paths are relative to the manifest. Rows without a line are used as they are, in their order.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...io.atomic_write import atomic_write
from ..schema import SampleError, resolve
from .base import Reader, SourceError
from .composed import Chosen

SUFFIX = ".manifest"
VERSION = 1


def read_manifest(path: Path, open_file: Callable[[Path, Path | None], Reader]) -> Reader:
    """The samples that a manifest leaves.

    Args:
        path: the manifest.
        open_file: from a file and what its pictures start from to a reader.

    Raises:
        SourceError: It is none, or its file has changed since.
    """
    lines = _lines(path)
    try:
        head = next(lines)
        if head["manifest"] != VERSION:
            raise ValueError
        file, rows, size = path.parent / head["file"], int(head["rows"]), int(head["bytes"])
        images = None if head["images"] is None else Path(os.path.normpath(path.parent / head["images"]))
    except (StopIteration, KeyError, TypeError, ValueError):
        raise SourceError(f"{path} is no manifest: write it by `minigemini data doctor --fix`.") from None
    reader = open_file(file, images)
    if (len(reader), file.stat().st_size) != (rows, size):
        raise SourceError(
            f"{path} is of {file.name} with {rows:,} records in {size:,} bytes, which now has {len(reader):,} in "
            f"{file.stat().st_size:,}: examine it again."
        )
    left, moved = np.ones(rows, dtype=bool), {}
    try:
        for line in lines:
            if "moved" in line:
                places = {resolve(old, images): resolve(new, images) for old, new in line["moved"].items()}
                moved[int(line["row"])] = places
            else:
                left[int(line["row"])] = False
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, SampleError) as error:
        raise SourceError(f"{path} has a line that is not of a manifest ({error}): write it anew.") from None
    return Chosen(reader, np.flatnonzero(left), moved)


def images_of(path: Path) -> Path | None:
    """What the pictures' paths of a manifest's file start from.

    Raises:
        SourceError: It is no manifest.
    """
    try:
        images = next(_lines(path))["images"]
    except (StopIteration, KeyError, TypeError, ValueError):
        raise SourceError(f"{path} is no manifest: write it by `minigemini data doctor --fix`.") from None
    return None if images is None else Path(os.path.normpath(path.parent / images))


def write_manifest(path: Path, file: Path, images: Path | None, rows: int, lines: Iterable[dict[str, Any]]) -> None:
    """Write a manifest, whole or not at all.

    Args:
        path: what to write.
        file, images: what it is of, and what the pictures' paths start from.
        rows: records of the file.
        lines: what is not used or has moved, by row.
    """
    head = {
        "manifest": VERSION,
        "file": _relative(file, path.parent),
        "images": None if images is None else _relative(images, path.parent),
        "rows": rows,
        "bytes": file.stat().st_size,
    }
    with atomic_write(path) as aside, aside.open("w", encoding="utf-8", errors="backslashreplace") as out:
        for line in (head, *lines):
            out.write(json.dumps(line, ensure_ascii=False) + "\n")


def _lines(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
