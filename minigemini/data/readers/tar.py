"""WebDataset shards: tar files in which members of one name are one sample, `<key>.json` and `<key>.<n>.jpg`.

The `webdataset` library reads shards from front to back and shuffles what it has in memory, which is right for object
stores and leaves no position to resume from. Here the members' places are read off the tar headers once, with the
standard library; a sample is then a few reads at known offsets.
"""

import io
import json
import re
import tarfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ..schema import Sample, SampleError, from_record
from .base import SourceError, bytes_of, parse, read_at, record_of

_MEMBER = re.compile(r"(?P<key>(?:.*/)?[^/.]+)\.(?:json|(?P<number>\d+)\.\w+)")
_MAGIC = {b"\xff\xd8": "jpg", b"\x89PNG": "png", b"RIFF": "webp", b"GIF8": "gif"}


class TarReader:
    """Samples of tar shards as `write_tar` makes them, numbered through in the order given.

    Args:
        paths: the shards, not compressed.
        name: what the whole is called.

    Raises:
        SourceError: A file is no such shard, or there is no sample in any.
    """

    def __init__(self, paths: Sequence[Path], name: str | None = None) -> None:
        self.paths = list(paths)
        self.name = name or (self.paths[0].name if self.paths else "tar")
        # Member m lies at _offsets[m] and has _sizes[m] bytes. Those of a row begin with its record, at _firsts[row].
        offsets, sizes, firsts, files = array("q"), array("q"), array("q"), array("i")
        for number, path in enumerate(self.paths):
            for members in _groups(path):
                firsts.append(len(offsets))
                files.append(number)
                offsets.extend(member.offset_data for member in members)
                sizes.extend(member.size for member in members)
        if not firsts:
            raise SourceError(f"no samples in {len(self.paths)} tar shards: name shards that have some.")
        self._offsets, self._sizes, self._files = np.array(offsets), np.array(sizes), np.array(files)
        self._firsts = np.array([*firsts, len(offsets)])
        self.text_bytes = self._sizes[self._firsts[:-1]].astype(np.int32)
        self.pictures = (np.diff(self._firsts) - 1).astype(np.int32)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, row: int) -> Sample:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} in {self.name}")
        path, members = self.paths[self._files[row]], slice(self._firsts[row], self._firsts[row + 1])
        record, *pictures = (
            read_at(path, int(offset), int(size))
            for offset, size in zip(self._offsets[members], self._sizes[members], strict=True)
        )
        try:
            return from_record(parse(record), pictures, None)
        except SampleError as error:
            raise error.of(f"row {row}", self.name) from None


def write_tar(samples: Iterable[Sample], path: Path) -> int:
    """Write one shard, pictures inside. Gives how many samples there were."""
    written = 0
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            key = f"{written:09d}"
            _add(tar, f"{key}.json", json.dumps(record_of(sample), ensure_ascii=False).encode())
            for number, picture in enumerate(sample.pictures):
                data = bytes_of(picture)
                kind = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), "bin")
                _add(tar, f"{key}.{number}.{kind}", data)
            written += 1
    return written


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _groups(path: Path) -> Iterator[list[tarfile.TarInfo]]:
    """The members of each sample of a shard: its record, then its pictures in the order of their numbers."""
    groups: dict[str, list[tuple[int, tarfile.TarInfo]]] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if (found := _MEMBER.fullmatch(member.name)) and member.isfile():
                    number = -1 if found["number"] is None else int(found["number"])
                    groups.setdefault(found["key"], []).append((number, member))
    except (OSError, tarfile.TarError) as error:
        raise SourceError(f"{path} is not a tar file, is compressed or damaged ({error}): write it anew.") from None
    for key, members in groups.items():
        members.sort(key=lambda numbered: numbered[0])
        if [number for number, _ in members] != list(range(-1, len(members) - 1)):
            raise SourceError(
                f"{path}: the members {key}.* are not one .json and pictures .0.…, .1.…, …: write it by write_tar."
            )
        yield [member for _, member in members]
