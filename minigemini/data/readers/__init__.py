"""Readers give samples of a source by row. Each format has a module, which also writes the format if it is ours."""

from .base import Reader, SourceError
from .composed import ConcatReader, SubsetReader
from .in_memory import MemoryReader
from .json_files import JsonLinesReader, JsonListReader, open_json
from .opening import lacks_images, open_reader
from .parquet import ParquetReader, write_parquet
from .tar import TarReader, write_tar

__all__ = [
    "ConcatReader",
    "JsonLinesReader",
    "JsonListReader",
    "MemoryReader",
    "ParquetReader",
    "Reader",
    "SourceError",
    "SubsetReader",
    "TarReader",
    "lacks_images",
    "open_json",
    "open_reader",
    "write_parquet",
    "write_tar",
]
