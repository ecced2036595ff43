"""Lists in LLaVA's format: LLaVA, ShareGPT4V, ALLaVA, and the merged lists of the paper's authors."""

from pathlib import Path
from typing import Any

from ...data.readers import ConcatReader, JsonListReader, Reader
from ..source_spec import SourceSpec

TEXTCAPS = "textvqa/"
"""Prefix of TextCaps images in the mix. They are TextVQA's images, so the paper excludes them."""


def open_llava(source: SourceSpec, data: Path, seed: int) -> Reader:
    """Open all lists of a source, without TextCaps.

    Raises:
        SourceError: A file is not such a list.
    """
    root = None if source.images is None else data / source.images
    readers = [
        JsonListReader(data / file.path, root, source.name, licence=source.licence, keep=_no_textcaps)
        for file in source.records
    ]
    return readers[0] if len(readers) == 1 else ConcatReader(readers, source.name)


def _no_textcaps(record: Any) -> bool:
    image = record.get("image") if isinstance(record, dict) else None
    return not any(isinstance(path, str) and path.startswith(TEXTCAPS) for path in (image, *_paths(image)))


def _paths(image: Any) -> list[Any]:
    return image if isinstance(image, list) else []
