"""WebDataset shards: tar files in which members with one key form a sample.

Ours have `<key>.json` and `<key>.<n>.jpg`. Others have one `<key>.jpg`, and `<key>.txt` with a caption or `<key>.json`
with a record of any known form.

The `webdataset` library reads shards sequentially and shuffles a buffer, which suits object stores but has no position
to resume from. This reader scans the tar headers once with the standard library; a sample is then a few reads at known
offsets.
"""

import io
import json
import re
import tarfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..media_keys import IMAGE_KEYS
from ..record_forms import read_record
from ..schema import Sample, SampleError, SampleIssue, from_record
from .base import SourceError, bytes_of, parse, read_at, record_of

_MEMBER = re.compile(
    r"(?P<key>(?:.*/)?[^/.]+)\.(?:json|(?P<number>[0-9]{1,9})\.\w+|(?P<text>txt|caption)|(?P<image>jpe?g|png|webp|gif|bmp|tiff?))",
    re.IGNORECASE,
)
_MEDIA = re.compile(r"jpe?g|png|webp|gif|bmp|tiff?|mp4|webm|avi|mov|mkv|wav|mp3|flac|ogg", re.IGNORECASE)
_MAX_MEMBER_BYTES = 2**31 - 1
"""No image or record is larger, and sizes are kept in 32 bits."""
_MAGIC = {b"\xff\xd8": "jpg", b"\x89PNG": "png", b"RIFF": "webp", b"GIF8": "gif"}


class TarReader:
    """Reads tar shards, with rows numbered across shards.

    Args:
        paths: the shards, uncompressed and in order.
        name: name of the source; the first file name by default.

    Raises:
        SourceError: A file is not such a shard, or no shard has samples.
    """

    def __init__(self, paths: Sequence[Path], name: str | None = None) -> None:
        self.paths = list(paths)
        self.name = name or (self.paths[0].name if self.paths else "tar")
        # Member m is at _offsets[m] and has _sizes[m] bytes. Member _firsts[row] is a row's record; its images follow.
        offsets, sizes, firsts, files = array("q"), array("q"), array("q"), array("i")
        self._unsupported: dict[int, str] = {}
        self._captions: set[int] = set()
        for number, path in enumerate(self.paths):
            for members, unsupported in _groups(path):
                if not members[0].name.lower().endswith(".json"):
                    self._captions.add(len(firsts))
                if unsupported:
                    self._unsupported[len(firsts)] = unsupported
                firsts.append(len(offsets))
                files.append(number)
                offsets.extend(member.offset_data for member in members)
                sizes.extend(member.size for member in members)
        if not firsts:
            raise SourceError(f"no samples in {len(self.paths)} tar shards: give shards that have some")
        self._offsets, self._sizes, self._files = np.array(offsets), np.array(sizes), np.array(files)
        self._firsts = np.array([*firsts, len(offsets)])
        self.text_bytes = self._sizes[self._firsts[:-1]].astype(np.int32)
        self.images = (np.diff(self._firsts) - 1).astype(np.int32)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, row: int) -> Sample:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} in {self.name}")
        path, members = self.paths[self._files[row]], slice(self._firsts[row], self._firsts[row + 1])
        record, *images = (
            read_at(path, int(offset), int(size))
            for offset, size in zip(self._offsets[members], self._sizes[members], strict=True)
        )
        try:
            sample = self._sample(record, images, row)
            if row in self._unsupported:
                raise SampleError(
                    SampleIssue.UNREAD_MEDIA,
                    f"{self._unsupported[row]}: images must be named KEY.jpg, or KEY.0.jpg, KEY.1.jpg, ...",
                    sample.id,
                )
            return sample
        except SampleError as error:
            raise error.of(f"row {row}", self.name) from None

    def _sample(self, data: bytes, images: list[bytes], row: int) -> Sample:
        if row in self._captions:
            try:
                return read_record({"caption": data.decode(), "images": images}, self.name, None, row)
            except UnicodeDecodeError as error:
                raise SampleError(SampleIssue.MALFORMED, f"the caption is not UTF-8 ({error})") from None
        record = parse(data)
        if not isinstance(record, dict) or isinstance(record.get("source"), str):  # written by `write_tar`
            return from_record(record, images, None)
        named = {key: value for key, value in record.items() if key not in IMAGE_KEYS} if images else record
        return read_record({**named, **({"images": images} if images else {})}, self.name, None, row)


def write_tar(samples: Iterable[Sample], path: Path) -> int:
    """Write one shard with its images inside, and return the number of samples."""
    written = 0
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            key = f"{written:09d}"
            _add(tar, f"{key}.json", json.dumps(record_of(sample), ensure_ascii=False).encode())
            for number, image in enumerate(sample.images):
                data = bytes_of(image)
                kind = next((kind for magic, kind in _MAGIC.items() if data.startswith(magic)), "bin")
                _add(tar, f"{key}.{number}.{kind}", data)
            written += 1
    return written


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _groups(path: Path) -> Iterator[tuple[list[tarfile.TarInfo], str]]:
    """Yield the members of each sample of a shard: its record or caption, then its images ordered by number.

    The second value is the name of a member with unsupported media of the same sample, or empty.
    """
    groups: dict[str, list[tuple[int, tarfile.TarInfo]]] = {}
    captions: dict[str, tarfile.TarInfo] = {}
    unsupported: dict[str, str] = {}
    for member in _members(path):
        found = _MEMBER.fullmatch(member.name)
        if found and found["text"]:
            captions[found["key"]] = member
        elif found:
            number = int(found["number"]) if found["number"] else 0 if found["image"] else -1
            groups.setdefault(found["key"], []).append((number, member))
        elif _MEDIA.fullmatch(member.name.rpartition(".")[2]):
            folder, _, name = member.name.rpartition("/")
            unsupported[f"{folder}/{name.partition('.')[0]}".lstrip("/")] = member.name
    for key, members in groups.items():
        members.sort(key=lambda numbered: numbered[0])
        if members[0][0] == 0 and key in captions:
            members.insert(0, (-1, captions[key]))
        if [number for number, _ in members] != list(range(-1, len(members) - 1)):
            raise SourceError(
                f"{path}: the members {key}.* are not one .json or .txt, and images .0.*, .1.*, ... or one image: "
                "write it with write_tar"
            )
        yield [member for _, member in members], unsupported.get(key.lstrip("/"), "")


def _members(path: Path) -> list[tarfile.TarInfo]:
    """List the files in a tar file, up to the zeros at its end.

    Raises:
        SourceError: It is not a tar file, or a header before its end is damaged.
    """
    size = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as tar:
            members = tar.getmembers()
        end = members[-1].offset_data + -(-members[-1].size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE if members else 0
        # tarfile takes a damaged header for the end of the archive, and would silently drop the rest.
        with path.open("rb") as file:
            file.seek(end)
            if any(block.strip(b"\0") for block in iter(partial(file.read, 2**20), b"")):
                raise SourceError(f"{path} is damaged: a member at byte {end:,} or later is lost; copy it again")
    except (OSError, tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{path} is not a tar file, or is compressed or damaged ({error}): write it again") from None
    for member in members:
        if not 0 <= member.size <= min(_MAX_MEMBER_BYTES, size - member.offset_data):
            raise SourceError(f"{path} is damaged: {member.name} claims {member.size:,} bytes; copy it again")
    return [member for member in members if member.isfile()]
