"""Manifests list the excluded records of a file with reasons, and new paths of images that moved.

A manifest is JSON Lines. The first line names the file, its folder of images, its number of records and its size:

    {"manifest": 1, "file": "mix.json", "images": "pictures", "rows": 665298, "bytes": 1029814226}
    {"row": 12, "id": "000000033471", "fault": "unreadable picture", "reason": "coco/train2017/…: no such file"}
    {"row": 40, "id": "000000052846", "moved": {"ocr_vqa/images/7.jpg": "ocr_vqa/images/7.png"}}

Paths are relative to the manifest. Rows without a line are used unchanged, in their order.
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
from .composed import SubsetReader

SUFFIX = ".manifest"
VERSION = 1


def read_manifest(path: Path, open_file: Callable[[Path, Path | None], Reader]) -> Reader:
    """Open the samples of a file that a manifest does not exclude.

    Args:
        path: the manifest.
        open_file: opens the file, given its path and its folder of images.

    Raises:
        SourceError: It is not a manifest, or its file has changed since.
    """
    lines = _lines(path)
    try:
        head = next(lines)
        if head["manifest"] != VERSION:
            raise ValueError
        file, rows, size = path.parent / head["file"], int(head["rows"]), int(head["bytes"])
        images = None if head["images"] is None else Path(os.path.normpath(path.parent / head["images"]))
    except (StopIteration, KeyError, TypeError, ValueError):
        raise SourceError(f"{path} is not a manifest: write one with `minigemini data validate --fix`") from None
    reader = open_file(file, images)
    if (len(reader), found := size_of(file)) != (rows, size):
        raise SourceError(
            f"{path} describes {file.name} with {rows:,} records in {size:,} bytes, but it has {len(reader):,} "
            f"records in {found:,} bytes: run `minigemini data validate --fix` again"
        )
    used, moved = np.ones(rows, dtype=bool), {}
    try:
        for line in lines:
            if "moved" in line:
                places = {resolve(old, images): resolve(new, images) for old, new in line["moved"].items()}
                moved[int(line["row"])] = places
            else:
                used[int(line["row"])] = False
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, SampleError) as error:
        raise SourceError(f"{path} has an invalid line ({error}): run `minigemini data validate --fix` again") from None
    return SubsetReader(reader, np.flatnonzero(used), moved)


def manifest_image_root(path: Path) -> Path | None:
    """Folder that image paths in a manifest's file are relative to.

    Raises:
        SourceError: It is not a manifest.
    """
    try:
        images = next(_lines(path))["images"]
    except (StopIteration, KeyError, TypeError, ValueError):
        raise SourceError(f"{path} is not a manifest: write one with `minigemini data validate --fix`") from None
    return None if images is None else Path(os.path.normpath(path.parent / images))


def write_manifest(path: Path, file: Path, images: Path | None, rows: int, lines: Iterable[dict[str, Any]]) -> None:
    """Write a manifest atomically.

    Args:
        path: file to write.
        file, images: the file described, and the folder of its images.
        rows: number of records in the file.
        lines: excluded records and moved images, by row.
    """
    head = {
        "manifest": VERSION,
        "file": _relative(file, path.parent),
        "images": None if images is None else _relative(images, path.parent),
        "rows": rows,
        "bytes": size_of(file),
    }
    with atomic_write(path) as aside, aside.open("w", encoding="utf-8", errors="backslashreplace") as out:
        for line in (head, *lines):
            out.write(json.dumps(line, ensure_ascii=False) + "\n")


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(x.stat().st_size for x in path.rglob("*") if x.is_file())


def _lines(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
