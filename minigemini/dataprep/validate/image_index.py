"""All pictures of a source by number: first the different files, then those that lie inside records."""

from array import array
from collections.abc import Iterator

import numpy as np

from ...data.readers import Reader
from ...data.schema import SampleError
from .image_checks import CheckedImage
from .record_checks import RecordChunk


class ImageIndex:
    """Which pictures there are, what each is, and which records show it; some tens of bytes a picture.

    Args:
        reader: whose pictures they are; it gives the names of records that show one with something to it.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.files: dict[str, int] = {}
        self._rows, self._shown, self._inside = array("i"), array("i"), array("i")
        self._hashes, self._inside_hashes = array("Q"), array("Q")
        self.noted: list[tuple[int, CheckedImage]] = []
        self._noted_inside: list[tuple[int, CheckedImage]] = []

    def add(self, chunk: RecordChunk) -> None:
        """Take in the pictures of a stretch of records."""
        for row, path in chunk.references:
            self._rows.append(row)
            self._shown.append(self.files.setdefault(path, len(self.files)))
        for row, seen in chunk.seen:
            if seen.kind:
                self._noted_inside.append((len(self._inside), seen))
            self._inside.append(row)
            self._inside_hashes.extend(seen.hash)

    def add_files(self, batch: list[CheckedImage]) -> None:
        """Take in what the next files are, in their order."""
        for seen in batch:
            if seen.kind:
                self.noted.append((len(self._hashes) // 2, seen))
            self._hashes.extend(seen.hash)

    def close(self) -> None:
        """Once all is taken in: number what lies inside records, and sort who shows what."""
        self.names = list(self.files)
        self.noted += [(len(self.names) + number, seen) for number, seen in self._noted_inside]
        self.hashes = np.array(self._hashes + self._inside_hashes, dtype=np.uint64).reshape(-1, 2)
        shown = np.array(self._shown, dtype=np.int64)
        order = np.argsort(shown, kind="stable")
        self._users, self._of = np.array(self._rows, dtype=np.int64)[order], shown[order]

    def __len__(self) -> int:
        return len(self.files) + len(self._inside)

    @property
    def references(self) -> int:
        """Pictures that records show, each time."""
        return len(self._rows) + len(self._inside)

    def name(self, image: int) -> str:
        """The path of a picture, or the row that it lies in."""
        inside = image - len(self.names)
        return self.names[image] if inside < 0 else f"row {self._inside[inside]}"

    def users(self, image: int) -> Iterator[tuple[int, str]]:
        """Row and id of each record that shows a picture."""
        inside = image - len(self.names)
        first, end = np.searchsorted(self._of, [image, image + 1])
        rows = sorted(set(self._users[first:end].tolist())) if inside < 0 else [self._inside[inside]]
        for row in rows:
            try:
                yield row, self.reader[row].id
            except SampleError as error:  # it was whole when it was read
                yield row, error.id
