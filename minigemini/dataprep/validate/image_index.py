"""Index of all images of a source, and groups of near duplicates among their hashes.

Images are numbered: first the distinct files, then the images inside records.
"""

from array import array
from collections.abc import Iterator

import numpy as np

from ...data.readers import Reader
from ...data.schema import SampleError
from .image_checks import CheckedImage
from .record_checks import RecordChunk

MAX_DIFFERING_BITS = 3
"""Hashes of 128 bits that differ in at most this many count as near duplicates."""
_MAX_COMPARED = 512
"""Hashes that share a part are all compared up to this many; in larger groups (blank pages), each with that many."""


class ImageIndex:
    """Images of a source, the result of checking each, and the records that show it; some tens of bytes per image.

    Args:
        reader: the source; looked up for the ids of records whose images have issues.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.files: dict[str, int] = {}
        self._rows, self._shown, self._embedded = array("i"), array("i"), array("i")
        self._hashes, self._embedded_hashes = array("Q"), array("Q")
        self.noted: list[tuple[int, CheckedImage]] = []
        self._noted_embedded: list[tuple[int, CheckedImage]] = []

    def add(self, chunk: RecordChunk) -> None:
        """Add the images of a chunk of records."""
        for row, path in chunk.references:
            self._rows.append(row)
            self._shown.append(self.files.setdefault(path, len(self.files)))
        for row, checked in chunk.embedded:
            if checked.kind:
                self._noted_embedded.append((len(self._embedded), checked))
            self._embedded.append(row)
            self._embedded_hashes.extend(checked.hash)

    def add_files(self, batch: list[CheckedImage]) -> None:
        """Add the results for the next files, in the order of `files`."""
        for checked in batch:
            if checked.kind:
                self.noted.append((len(self._hashes) // 2, checked))
            self._hashes.extend(checked.hash)

    def close(self) -> None:
        """Finish the index after everything was added: number embedded images, sort references by image."""
        self.names = list(self.files)
        self.noted += [(len(self.names) + number, checked) for number, checked in self._noted_embedded]
        self.hashes = np.array(self._hashes + self._embedded_hashes, dtype=np.uint64).reshape(-1, 2)
        shown = np.array(self._shown, dtype=np.int64)
        order = np.argsort(shown, kind="stable")
        self._users, self._used = np.array(self._rows, dtype=np.int64)[order], shown[order]

    def __len__(self) -> int:
        return len(self.files) + len(self._embedded)

    @property
    def references(self) -> int:
        """References to images in records; an image used by several records counts each time."""
        return len(self._rows) + len(self._embedded)

    def name(self, image: int) -> str:
        """Path of an image, or the row that contains it."""
        number = image - len(self.names)
        return self.names[image] if number < 0 else f"row {self._embedded[number]}"

    def users(self, image: int) -> Iterator[tuple[int, str]]:
        """Row and id of each record that shows an image."""
        number = image - len(self.names)
        first, end = np.searchsorted(self._used, [image, image + 1])
        rows = sorted(set(self._users[first:end].tolist())) if number < 0 else [self._embedded[number]]
        for row in rows:
            try:
                yield row, self.reader[row].id
            except SampleError as error:  # the file changed since the record was read
                yield row, error.id


def near_duplicate_groups(hashes: np.ndarray) -> np.ndarray:
    """Group images whose hashes differ in at most `MAX_DIFFERING_BITS` bits, directly or through other images.

    Two hashes of 128 bits that differ in at most 3 share at least one of their four parts of 32 bits, so only hashes
    that share a part are compared. Identical hashes are compared once.

    Args:
        hashes: (n, 2) uint64. Zeros (an image that was not decoded or has one color) match nothing.

    Returns:
        (n,) int64, the lowest number of an image in the same group.
    """
    group = np.arange(len(hashes))
    known = np.flatnonzero(hashes.any(axis=1))
    if not len(known):
        return group
    unique, first, inverse = np.unique(hashes[known], axis=0, return_index=True, return_inverse=True)
    parents = np.arange(len(unique))
    for a, b in _near_pairs(unique):
        _union(parents, a, b)
    lowest = np.full(len(unique), len(hashes))
    roots = np.array([_root(parents, n) for n in range(len(unique))])
    np.minimum.at(lowest, roots, known[first])
    group[known] = lowest[roots[inverse.ravel()]]
    return group


def _near_pairs(unique: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield pairs of rows that differ in few bits; a pair may be repeated."""
    parts = unique.view(np.uint32).reshape(len(unique), 4)
    for part in parts.T:
        order = np.argsort(part, kind="stable")
        starts = np.flatnonzero(np.diff(part[order], prepend=part[order[0]] + np.uint32(1)))
        sizes = np.diff(np.append(starts, len(order)))
        for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
            members = order[start : start + size]
            for n in range(size - 1):
                others = members[n + 1 : n + 1 + _MAX_COMPARED]
                differing = np.bitwise_count(unique[members[n]] ^ unique[others]).sum(axis=1)
                for other in others[differing <= MAX_DIFFERING_BITS]:
                    yield int(members[n]), int(other)


def _root(parents: np.ndarray, n: int) -> int:
    while parents[n] != n:
        parents[n] = parents[parents[n]]
        n = int(parents[n])
    return n


def _union(parents: np.ndarray, a: int, b: int) -> None:
    first, second = sorted((_root(parents, a), _root(parents, b)))
    parents[second] = first
