"""Reads tables of records of any known form: Parquet files, and folders that `datasets` saved with `save_to_disk`.

Arrow reads a table in groups of rows: row groups of Parquet, record batches of Arrow. A group is decoded for one row,
and the latest ones are kept: a table of up to 64 MiB is decoded once in any order, a larger one in its own order. Such
tables are read in random order faster as shards.
"""

import json
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..record_forms import count_images, read_record
from ..schema import Sample, SampleError
from .base import SourceError
from .parquet import need_pyarrow

MAX_GROUP_BYTES = 2 * 2**30
"""Largest decoded size of a row group; a small file can claim any size."""
MAX_KEPT_BYTES = 2**26
"""Decoded groups that are kept in each process; the latest one always is."""
STATE, SPLITS = "state.json", "dataset_dict.json"
"""Files in a folder that `datasets` saved: of a data set, and of one with several splits."""


class TableReader(ABC):
    """Records by row from groups of rows.

    Args:
        name: name of the source.
        image_root: folder that image paths are relative to.
        rows: number of rows of each group.

    Raises:
        SourceError: There are no rows, or the table is damaged.
    """

    def __init__(self, name: str, image_root: Path | None, rows: Sequence[int]) -> None:
        self.name, self.image_root = name, image_root
        self._starts = np.cumsum([0, *rows])
        if not len(self):
            raise SourceError(f"{name} has no rows: give a table that has some")
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._kept_bytes = 0
        sizes = [(_text_bytes(record), count_images(record)) for record in self._records()]
        self.text_bytes, self.images = (np.array(of, dtype=np.int32) for of in zip(*sizes, strict=True))

    @abstractmethod
    def _read(self, group: int) -> Any:
        """Read a group of rows as a pyarrow Table or RecordBatch."""

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, row: int) -> Sample:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} in {self.name}")
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        record = self._group(number).slice(row - int(self._starts[number]), 1).to_pylist()[0]
        try:
            return read_record(record, self.name, self.image_root, row)
        except SampleError as error:
            raise error.of(f"row {row}", self.name) from None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict(), "_kept_bytes": 0}

    def _group(self, number: int) -> Any:
        if number not in self._kept:
            pyarrow = need_pyarrow()
            try:
                group = self._read(number)
                group.validate(full=True)
            except (OSError, pyarrow.ArrowException) as error:
                raise SourceError(f"{self.name} is damaged ({error}): copy it again") from None
            self._kept[number] = group
            self._kept_bytes += group.nbytes
            while len(self._kept) > 1 and self._kept_bytes > MAX_KEPT_BYTES:
                self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        self._kept.move_to_end(number)
        return self._kept[number]

    def _records(self) -> Iterator[dict[str, Any]]:
        """Yield every record once, a row at a time: images of a whole group would be copied."""
        for number in range(len(self._starts) - 1):
            group = self._group(number)
            for row in range(group.num_rows):
                yield group.slice(row, 1).to_pylist()[0]


class ParquetTableReader(TableReader):
    """Reads Parquet files with the columns of any known form.

    Args:
        paths: the files, in order.
        image_root: folder that image paths are relative to.
        name: name of the source.

    Raises:
        SourceError: A file is not Parquet, is damaged, or a row group is too large.
    """

    def __init__(self, paths: Sequence[Path], image_root: Path | None, name: str) -> None:
        self._groups: list[tuple[Path, int]] = []
        rows = []
        for path in paths:
            metadata = self._metadata(path)
            for number in range(metadata.num_row_groups):
                group = metadata.row_group(number)
                if not 0 <= group.total_byte_size <= MAX_GROUP_BYTES:
                    raise SourceError(
                        f"{path}: row group {number} has {group.total_byte_size:,} bytes, at most "
                        f"{MAX_GROUP_BYTES:,} are read: write it with a smaller row_group_size"
                    )
                self._groups.append((path, number))
                rows.append(group.num_rows)
        super().__init__(name, image_root, rows)

    @staticmethod
    def _metadata(path: Path) -> Any:
        pyarrow = need_pyarrow()
        try:
            return pyarrow.parquet.read_metadata(path)
        except (OSError, pyarrow.ArrowException) as error:
            raise SourceError(f"{path} is not a Parquet file or is damaged ({error}): copy it again") from None

    def _read(self, group: int) -> Any:
        path, number = self._groups[group]
        # No Arrow threads: they do not survive a fork into a worker.
        with need_pyarrow().parquet.ParquetFile(path, pre_buffer=False) as file:
            return file.read_row_group(number, use_threads=False)


class ArrowFolderReader(TableReader):
    """Reads a folder that `Dataset.save_to_disk` wrote: Arrow streams that its state lists.

    Args:
        folder: the folder.
        image_root: folder that image paths are relative to; images that were saved as bytes need none.
        name: name of the source.

    Raises:
        SourceError: The folder is incomplete or damaged.
    """

    def __init__(self, folder: Path, image_root: Path | None, name: str) -> None:
        self._groups: list[tuple[Path, int]] = []
        self._batches: dict[Path, list[Any]] = {}
        rows = []
        for path in _listed_files(folder):
            for number, batch in enumerate(self._open(path)):
                self._groups.append((path, number))
                rows.append(batch.num_rows)
        super().__init__(name, image_root, rows)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_batches": {}}

    def _open(self, path: Path) -> list[Any]:
        """The batches of a file, mapped into memory and not read."""
        if path not in self._batches:
            pyarrow = need_pyarrow()
            try:
                with pyarrow.ipc.open_stream(pyarrow.memory_map(str(path))) as stream:
                    self._batches[path] = list(_mapped(stream, path))
            except (OSError, pyarrow.ArrowException) as error:
                raise SourceError(f"{path} is not an Arrow stream or is damaged ({error}): copy it again") from None
        return self._batches[path]

    def _read(self, group: int) -> Any:
        path, number = self._groups[group]
        return self._open(path)[number]


def _mapped(batches: Iterable[Any], path: Path) -> Iterator[Any]:
    """The batches of a file. Mapped ones take no more than the file; compressed ones would all be held in memory.

    Raises:
        SourceError: The file is compressed.
    """
    limit, held = 2 * path.stat().st_size, 0
    for batch in batches:
        held += batch.nbytes
        if held > limit:
            raise SourceError(f"{path} is compressed: save the data set again with save_to_disk")
        yield batch


def open_arrow_folder(folder: Path, image_root: Path | None, name: str) -> ArrowFolderReader:
    """Open a saved data set; of one with several splits, the split `train` or the only one.

    Raises:
        SourceError: The folder is incomplete or damaged, or it has several splits and none is `train`.
    """
    if (folder / SPLITS).is_file():
        splits = _read_json(folder / SPLITS).get("splits")
        named = [Path(str(one)).name for one in splits] if isinstance(splits, list) else []
        if "train" not in named and len(named) != 1:
            raise SourceError(f"{folder} has the splits {', '.join(named) or 'of no name'}: give one of its folders")
        folder = folder / ("train" if "train" in named else named[0])
    return ArrowFolderReader(folder, image_root, name)


def _listed_files(folder: Path) -> list[Path]:
    listed = _read_json(folder / STATE).get("_data_files")
    files = [one.get("filename") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    if not files:
        raise SourceError(f"{folder / STATE} lists no data files: save the data set again")
    return [folder / Path(str(name)).name for name in files]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{path} cannot be read ({error}): save the data set again") from None
    return value if isinstance(value, dict) else {}


def _text_bytes(value: Any) -> int:
    """Bytes of the texts in a record, without images."""
    if isinstance(value, dict):
        return sum(map(_text_bytes, value.values()))
    if isinstance(value, list):
        return sum(map(_text_bytes, value))
    return len(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else 8
