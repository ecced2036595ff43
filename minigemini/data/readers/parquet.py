"""Parquet shards with the columns that `datasets` uses: `messages`, and `images` as bytes or paths.

Two more columns, `text_bytes` and `pictures`, are kept in memory by the reader. Row groups are small for random access,
because reading one row decodes its whole group.
"""

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..media_keys import is_media_key
from ..schema import Sample, SampleError, from_record
from .base import SourceError, bytes_of, record_of, text_size

ROWS_PER_GROUP = 16
_SAMPLE_COLUMNS = ["id", "source", "messages", "images"]
_OWN_COLUMNS = {*_SAMPLE_COLUMNS, "text_bytes", "pictures"}
_KNOWN_COLUMNS = ["origin", "licence"]
"""Columns that shards written by other programs may lack."""


def _value(dtype: str) -> dict[str, str]:
    return {"dtype": dtype, "_type": "Value"}


def _list_of(feature: dict[str, Any]) -> dict[str, Any]:
    return {"feature": feature, "_type": "List"}


_FEATURES = {
    **{name: _value("string") for name in ("id", "source", "origin", "licence")},
    "messages": _list_of(
        {"role": _value("string"), "content": _list_of({"type": _value("string"), "text": _value("string")})}
    ),
    "images": _list_of({"_type": "Image"}),
    **{name: _value("int32") for name in ("text_bytes", "pictures")},
}
"""Feature metadata of `datasets` 4 or newer, by which `load_dataset` decodes the column `images`."""


def need_pyarrow() -> Any:
    """Import pyarrow with `pyarrow.parquet`.

    Raises:
        ModuleNotFoundError: It is not installed; the message has the command to install it.
    """
    try:
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise ModuleNotFoundError("reading Parquet needs pyarrow: pip install 'minigemini[data]'") from None
    return pyarrow


def is_shard(path: Path) -> bool:
    """Whether a file has the columns that `write_parquet` writes; a file that is not Parquet has none.

    Raises:
        ModuleNotFoundError: pyarrow is not installed.
    """
    pyarrow = need_pyarrow()
    try:
        return set(pyarrow.parquet.read_schema(path).names) >= _OWN_COLUMNS
    except (OSError, pyarrow.ArrowException):
        return False


class ParquetReader:
    """Reads Parquet shards written by `write_parquet`, with rows numbered across shards.

    Args:
        paths: the shards, in order.
        image_root: folder that image paths are relative to.
        name: name of the source; the first file name by default.

    Raises:
        SourceError: A file is not such a shard, or no shard has rows.
    """

    def __init__(self, paths: Sequence[Path], image_root: Path | None = None, name: str | None = None) -> None:
        self.paths, self.image_root = list(paths), image_root
        self.name = name or (self.paths[0].name if self.paths else "parquet")
        parts = [self._open(path) for path in self.paths]
        self._metadata = [metadata for metadata, _, _ in parts]
        groups = [(file, n) for file, data in enumerate(self._metadata) for n in range(data.num_row_groups)]
        rows = [self._metadata[file].row_group(n).num_rows for file, n in groups]
        if not sum(rows):
            raise SourceError(f"no rows in {len(self.paths)} Parquet shards: give shards that have some")
        self._groups, self._starts = groups, np.cumsum([0, *rows])
        self.text_bytes = np.concatenate([sizes for _, sizes, _ in parts])
        self.images = np.concatenate([images for _, _, images in parts])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, row: int) -> Sample:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} in {self.name}")
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        file, group = self._groups[number]
        # No Arrow threads: they do not survive a fork into a worker.
        with need_pyarrow().parquet.ParquetFile(
            self.paths[file], metadata=self._metadata[file], pre_buffer=False
        ) as parquet:
            names = parquet.schema_arrow.names
            known = [name for name in names if name in _KNOWN_COLUMNS or is_media_key(name)]
            table = parquet.read_row_group(group, columns=_SAMPLE_COLUMNS + known, use_threads=False)
        record = table.slice(row - int(self._starts[number]), 1).to_pylist()[0]
        try:
            images = [image["path"] if image["bytes"] is None else image["bytes"] for image in record["images"] or ()]
            return from_record(record, images, self.image_root)
        except SampleError as error:
            raise error.of(f"row {row}", self.name) from None

    @staticmethod
    def _open(path: Path) -> tuple[Any, np.ndarray, np.ndarray]:
        pyarrow = need_pyarrow()
        try:
            with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
                if missing := _OWN_COLUMNS - set(file.schema_arrow.names):
                    raise SourceError(
                        f"{path} lacks the columns {', '.join(sorted(missing))}: write it with write_parquet"
                    )
                table = file.read(columns=["text_bytes", "pictures"], use_threads=False)
                return file.metadata, table["text_bytes"].to_numpy(), table["pictures"].to_numpy()
        except (OSError, pyarrow.ArrowException) as error:
            raise SourceError(f"{path} is not a Parquet file or is damaged ({error}): copy it again") from None


def write_parquet(samples: Iterable[Sample], path: Path, image_root: Path | None = None) -> int:
    """Write one shard.

    Args:
        samples: samples to write; images given as bytes are stored in the shard.
        path: file to write.
        image_root: store image files as paths relative to it; None stores their bytes.

    Returns:
        Number of samples.
    """
    pyarrow = need_pyarrow()
    part = pyarrow.struct([("type", pyarrow.string()), ("text", pyarrow.string())])
    message = pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.list_(part))])
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    schema = pyarrow.schema(
        [
            ("id", pyarrow.string()),
            ("source", pyarrow.string()),
            ("origin", pyarrow.string()),
            ("licence", pyarrow.string()),
            ("messages", pyarrow.list_(message)),
            ("images", pyarrow.list_(image)),
            ("text_bytes", pyarrow.int32()),
            ("pictures", pyarrow.int32()),
        ],
        metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
    )
    rows, written = iter(samples), 0
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while group := [_row(sample, image_root) for sample in islice(rows, ROWS_PER_GROUP)]:
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))
            written += len(group)
    return written


def _row(sample: Sample, image_root: Path | None) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    for image in sample.images:
        if isinstance(image, Path) and image_root is not None:
            images.append({"bytes": None, "path": image.relative_to(image_root).as_posix()})
        else:
            images.append({"bytes": bytes_of(image), "path": image.name if isinstance(image, Path) else None})
    record = record_of(sample)
    return {**record, "images": images, "text_bytes": text_size(record), "pictures": len(images)}
