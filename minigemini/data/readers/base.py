"""What all readers are: samples by row, of a number that does not change, and how long each is at a glance."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from ...images.safe_images import open_image
from ..schema import ImageInput, Sample, SampleError, SampleIssue


class SourceError(ValueError):
    """A file that is not a source of samples; the message names it, what is wrong and the mend."""


class Reader(Protocol):
    """Samples by row. Readers are picklable, hold no open file, and may be read by several processes at once.

    Attributes:
        name: what faults call the source.
        text_bytes: (rows,) int32, the size of each record's text, keys and quotes included: what lengths are estimated
            from, so that grouping needs no tokenising.
        pictures: (rows,) int32, pictures of each record.
    """

    name: str
    text_bytes: np.ndarray
    images: np.ndarray

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Sample:
        """Read one sample.

        Raises:
            SampleError: The record is not one.
        """
        ...


def read_at(path: Path, offset: int, size: int) -> bytes:
    """Read a part of a file. Opening it anew takes microseconds, and leaves no handle for forked workers to share."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


def parse(data: bytes) -> Any:
    """Parse one JSON record.

    Raises:
        SampleError: It is not JSON.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SampleError(SampleIssue.NOT_JSON, str(error)) from None


def bytes_of(image: ImageInput) -> bytes:
    """A picture as the bytes of a file; one that is none as PNG, as it is seen."""
    if isinstance(image, Image.Image):
        file = BytesIO()
        open_image(image).save(file, "PNG")
        return file.getvalue()
    return image if isinstance(image, bytes) else image.read_bytes()


def record_of(sample: Sample) -> dict[str, Any]:
    """A sample as a record of ours, pictures apart."""
    known = {name: value for name in ("origin", "licence") if (value := getattr(sample, name))}
    return {"id": sample.id, "source": sample.source, "messages": [dict(m) for m in sample.messages], **known}


def text_size(record: dict[str, Any]) -> int:
    """Bytes of a record as JSON."""
    return len(json.dumps(record, ensure_ascii=False).encode())
