"""Samples of any source by their row: each format in a file of its own, with what writes it where that is ours."""

from .base import Reader, SourceError
from .json_files import JsonLinesReader, JsonListReader
from .parquet import ParquetReader, write_parquet
from .tar import TarReader, write_tar

__all__ = [
    "JsonLinesReader",
    "JsonListReader",
    "ParquetReader",
    "Reader",
    "SourceError",
    "TarReader",
    "write_parquet",
    "write_tar",
]
