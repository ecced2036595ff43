"""Samples of any source by their row: each format in a file of its own, with what writes it where that is ours."""

from .base import Reader, SourceError
from .composed import Chained, Chosen
from .in_memory import MemoryReader
from .json_files import JsonLinesReader, JsonListReader, open_json
from .opening import lacks_images, open_reader
from .parquet import ParquetReader, write_parquet
from .tar import TarReader, write_tar

__all__ = [
    "Chained",
    "Chosen",
    "JsonLinesReader",
    "JsonListReader",
    "MemoryReader",
    "ParquetReader",
    "Reader",
    "SourceError",
    "TarReader",
    "lacks_images",
    "open_json",
    "open_reader",
    "write_parquet",
    "write_tar",
]
