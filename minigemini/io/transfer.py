"""Transfer of one file with resume; the final name only ever refers to a complete and verified file.

Bytes are written to `.NAME.partial`, and `.NAME.partial.json` records which version of the file they belong to. A
resumed transfer requests a small overlap with what it has, so that wrong ranges are detected even without a checksum.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .atomic_write import flush
from .folder_lock import FolderInUseError, output_lock
from .origins import Origin, OriginError, Reply

OVERLAP_BYTES = 64 * 2**10
ATTEMPTS = 5
"""Consecutive attempts that may bring less than `OVERLAP_BYTES`."""
SLOWEST_BYTES_PER_SECOND, PATIENCE_SECONDS = 1024, 60.0
"""A slower connection is closed after this time, because a slow drip of bytes would never time out."""
RESERVE_BYTES = 2**30
"""Disk space to keep free if an origin does not report the size of the file."""
OTHER_BYTES = "other bytes than requested"


class DownloadError(OSError):
    """A file cannot be downloaded; the message is one line with the file, the reason and the fix."""


class _RestartError(Exception):
    """The partial file does not belong to the file at the origin."""


@dataclass
class Transfer:
    """Download of one file.

    Attributes:
        origin: where to download from.
        target: path of the file.
        size, sha256, sha1: expected size and checksums, if known.
        progress: called with the number of received bytes; negative if a partial file is dropped.
        pause: seconds before the second attempt; doubles with each attempt.
    """

    origin: Origin
    target: Path
    size: int | None = None
    sha256: str | None = None
    sha1: str | None = None
    progress: Callable[[int], Any] = lambda count: None
    pause: float = 1.0

    def run(self) -> None:
        """Download and verify the file.

        Raises:
            DownloadError: It cannot be downloaded, or differs from what is expected.
        """
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.partial = self.target.with_name(f".{self.target.name}.partial")
        self.note = self.partial.with_name(self.partial.name + ".json")
        try:
            with output_lock(self.target):
                self._run()
        except OriginError as error:
            raise DownloadError(f"{self.target.name} from {self.origin.name}: {error}") from None
        except FolderInUseError as error:
            raise DownloadError(str(error)) from None

    def _run(self) -> None:
        if self.partial.exists():
            self.progress(self.partial.stat().st_size)
        for last in (False, True):
            self._receive()
            if (wrong := self._mismatch()) is None:
                break
            self._drop()
            if last:
                raise DownloadError(f"{self.target.name} from {self.origin.name}: {wrong}")
        flush(self.partial)
        os.replace(self.partial, self.target)
        flush(self.target.parent)
        self.note.unlink(missing_ok=True)

    def _receive(self) -> None:
        """Receive all bytes, retrying as long as attempts make progress."""
        idle = restarts = 0
        while True:
            before = self._received()
            reason = "the connection closed early"
            try:
                if self._resume(before):
                    return
            except _RestartError as error:
                self._drop()
                restarts += 1
                reason = f"the server sent {error}"
            except OriginError as error:
                if not error.transient:
                    raise
                reason = str(error)
            # A server may drop every connection, but each attempt must make progress.
            idle = 0 if self._received() >= before + OVERLAP_BYTES else idle + 1
            if max(idle, restarts) >= ATTEMPTS:
                expected = "" if self._expected() is None else f" of {self._expected():,}"
                raise OriginError(
                    f"{reason}; received {self._received():,}{expected} bytes: run again later", transient=False
                )
            time.sleep(self.pause * 2 ** max(0, idle - 1) if idle else 0)

    def _resume(self, here: int) -> bool:
        """Receive bytes from the current offset; return whether the file is complete."""
        start = max(0, here - OVERLAP_BYTES)
        with self.origin.open(start) as reply:
            if reply.start not in (0, start):
                raise _RestartError(OTHER_BYTES)
            if reply.start == 0 and start:  # the server does not support ranges
                self._drop()
                here = start = 0
            self._check_version(reply, here)
            if self._expected() is not None:
                self._check_room(here)
            with self.partial.open("r+b" if here else "wb") as file:
                file.seek(start)
                self._take(reply, file, here)
            expected = self._expected()
            return expected is None or self._received() >= expected

    def _check_room(self, here: int) -> None:
        """Check free disk space before writing."""
        free = shutil.disk_usage(self.partial.parent).free
        needed = RESERVE_BYTES if (expected := self._expected()) is None else expected - here
        if needed > free:
            what = "an unknown number of" if expected is None else f"{needed:,}"
            detail = f"{what} bytes to receive, but the disk has {free:,} free: free disk space"
            raise OriginError(detail, transient=False)

    def _take(self, reply: Reply, file: IO[bytes], here: int) -> None:
        since, taken, checked = time.monotonic(), 0, 0
        for chunk in reply.chunks:
            taken += len(chunk)
            if (passed := time.monotonic() - since) >= PATIENCE_SECONDS:
                if taken < SLOWEST_BYTES_PER_SECOND * passed:
                    raise OriginError(f"received only {taken:,} bytes in {passed:.0f} seconds", transient=True)
                since, taken = time.monotonic(), 0
            if file.tell() - checked >= RESERVE_BYTES // 4 and self._expected() is None:
                self._check_room(here)
                checked = file.tell()
            overlap = chunk[: max(0, here - file.tell())]
            if overlap and file.read(len(overlap)) != overlap:
                raise _RestartError(OTHER_BYTES)
            new = chunk[len(overlap) :]
            file.seek(file.tell())  # required when switching from reading to writing
            file.write(new)
            self.progress(len(new))
            if (expected := self._expected()) is not None and file.tell() > expected:
                raise OriginError(f"the server sent more than the expected {expected:,} bytes", transient=False)

    def _check_version(self, reply: Reply, here: int) -> None:
        """Compare the reply with the declared size, and with the version at the start of the transfer."""
        if self.size is not None and reply.total not in (None, self.size):
            raise OriginError(
                f"the server has {reply.total:,} bytes, but the source declares {self.size:,}: it is another file, or "
                "an error page",
                transient=False,
            )
        known = self._note()
        if here and (reply.tag, reply.total) != (known.get("tag"), known.get("total")):
            raise _RestartError("another version than before")
        if not here:
            self.note.write_text(json.dumps({"origin": self.origin.name, "tag": reply.tag, "total": reply.total}))

    def _mismatch(self) -> str | None:
        """Describe a mismatch in size or checksum; None if the file is as expected."""
        sums = {"sha256": self.sha256 or self.origin.sha256, "sha1": self.sha1}
        expected = {kind: value for kind, value in sums.items() if value}
        if self._expected() not in (None, self._received()):
            return f"{self._received():,} bytes, expected {self._expected():,}"
        for kind, value in expected.items():
            with self.partial.open("rb") as file:
                found = hashlib.file_digest(file, kind).hexdigest()
            if found != value:
                return f"its {kind} is {found}, expected {value}: it changed, or was damaged in transit"
        return None

    def _received(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _expected(self) -> int | None:
        return self.size if self.size is not None else self._note().get("total")

    def _note(self) -> dict[str, Any]:
        try:
            note = json.loads(self.note.read_bytes())
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) and note.get("origin") == self.origin.name else {}

    def _drop(self) -> None:
        self.progress(-self._received())
        self.partial.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
