"""The `Reader` protocol: random access to samples by row, and their approximate lengths without reading them."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from ...images.safe_images import open_image
from ..schema import ImageInput, Sample, SampleError, SampleIssue


class SourceError(ValueError):
    """A file is not a valid source of samples; the message names it, what is wrong and the fix."""


class Reader(Protocol):
    """Samples by row. Readers are picklable, hold no open files, and can be read by several processes at once.

    Attributes:
        name: name of the source in errors.
        text_bytes: (rows,) int32, size of each record's JSON, from which lengths are estimated without tokenizing.
        images: (rows,) int32, number of images of each record.
    """

    name: str
    text_bytes: np.ndarray
    images: np.ndarray

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Sample:
        """Read one sample.

        Raises:
            SampleError: The record is invalid.
        """
        ...


def read_at(path: Path, offset: int, size: int) -> bytes:
    """Read a part of a file. Opening it each time takes microseconds, and forked workers share no handle."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def parse(data: bytes) -> Any:
    """Parse one JSON record.

    Raises:
        SampleError: The data is not JSON.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SampleError(SampleIssue.NOT_JSON, str(error)) from None


def bytes_of(image: ImageInput) -> bytes:
    """Bytes of an image file; a PIL image is encoded as PNG after applying its EXIF orientation."""
    if isinstance(image, Image.Image):
        file = BytesIO()
        open_image(image).save(file, "PNG")
        return file.getvalue()
    return image if isinstance(image, bytes) else image.read_bytes()


def record_of(sample: Sample) -> dict[str, Any]:
    """Convert a sample to a record of our shards, without its images.

    Raises:
        SampleError: It has a video, which shards do not hold.
    """
    if sample.videos:
        raise SampleError(
            SampleIssue.UNREAD_MEDIA,
            "shards hold no videos: train on the file of records itself",
            sample.id,
            sample.source,
        )
    known = {name: value for name in ("origin", "licence") if (value := getattr(sample, name))}
    return {"id": sample.id, "source": sample.source, "messages": [dict(m) for m in sample.messages], **known}


def text_size(record: dict[str, Any]) -> int:
    """Size of a record as JSON, in bytes."""
    return len(json.dumps(record, ensure_ascii=False).encode())
