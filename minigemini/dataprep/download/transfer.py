"""One file, from its origin to its place: what is under the final name is whole and checked.

Bytes go into `.NAME.partial`; beside it a note keeps which version of the file they are of. A transfer that broke off
goes on from there, and asks for a little of what it has again: a server that gives other bytes than those asked for is
found out even where nobody knows a checksum.
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

from ...io.atomic_write import flush
from ...io.folder_lock import FolderInUseError, output_lock
from .origins import Origin, OriginError, Reply

OVERLAP_BYTES = 64 * 2**10
ATTEMPTS = 5
"""How often in a row an origin may give nothing new, or next to nothing."""
SLOWEST_BYTES_PER_SECOND, PATIENCE_SECONDS = 1024, 60.0
"""A connection that brings less over so long is given up: a byte now and then would keep it open for years."""
RESERVE_BYTES = 2**30
"""Of the disk, which are left free where an origin does not say how much it will give."""
OTHER_BYTES = "other bytes than those asked for"


class DownloadError(OSError):
    """A file that cannot be had; the message is one line that names it, what is wrong and what to do."""


class _RestartError(Exception):
    """What is here is not a part of what the origin has."""


@dataclass
class Transfer:
    """One file to fetch.

    Attributes:
        origin: where from.
        target: where to.
        size, sha256, sha1: what it must be, where known.
        progress: told how many bytes came in; fewer than 0 where some were dropped.
        pause: seconds before the second attempt, doubled with each.
    """

    origin: Origin
    target: Path
    size: int | None = None
    sha256: str | None = None
    sha1: str | None = None
    progress: Callable[[int], Any] = lambda count: None
    pause: float = 1.0

    def run(self) -> None:
        """Fetch it.

        Raises:
            FetchError: It cannot be had, or is not what it must be.
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
            if (wrong := self._wrong()) is None:
                break
            self._drop()
            if last:
                raise DownloadError(f"{self.target.name} from {self.origin.name}: {wrong}")
        flush(self.partial)
        os.replace(self.partial, self.target)
        flush(self.target.parent)
        self.note.unlink(missing_ok=True)

    def _receive(self) -> None:
        """Bring in all bytes, over as many attempts as bring any."""
        idle = anew = 0
        while True:
            before = self._here()
            reason = "the connection ends early"
            try:
                if self._go_on(before):
                    return
            except _RestartError as error:
                self._drop()
                anew += 1
                reason = f"the server gives {error}"
            except OriginError as error:
                if not error.passing:
                    raise
                reason = str(error)
            # A server may drop every connection, but each must have brought some.
            idle = 0 if self._here() >= before + OVERLAP_BYTES else idle + 1
            if max(idle, anew) >= ATTEMPTS:
                expected = "" if self._expected() is None else f" of {self._expected():,}"
                raise OriginError(
                    f"{reason}; {self._here():,}{expected} bytes are here: run again later", passing=False
                )
            time.sleep(self.pause * 2 ** max(0, idle - 1) if idle else 0)

    def _go_on(self, here: int) -> bool:
        """Take what the origin gives from where we are; whether that was all of it."""
        asked = max(0, here - OVERLAP_BYTES)
        with self.origin.open(asked) as reply:
            if reply.start not in (0, asked):
                raise _RestartError(OTHER_BYTES)
            if reply.start == 0 and asked:  # the server does not know ranges
                self._drop()
                here = asked = 0
            self._check_version(reply, here)
            if self._expected() is not None:
                self._check_room(here)
            with self.partial.open("r+b" if here else "wb") as file:
                file.seek(asked)
                self._take(reply, file, here)
            expected = self._expected()
            return expected is None or self._here() >= expected

    def _check_room(self, here: int) -> None:
        """Refuse what does not fit, before it fills the disk."""
        free = shutil.disk_usage(self.partial.parent).free
        needed = RESERVE_BYTES if (expected := self._expected()) is None else expected - here
        if needed > free:
            what = "an unknown number of" if expected is None else f"{needed:,}"
            raise OriginError(f"{what} bytes are to come, and the disk has room for {free:,}: make room", passing=False)

    def _take(self, reply: Reply, file: IO[bytes], here: int) -> None:
        since, taken, looked = time.monotonic(), 0, 0
        for chunk in reply.chunks:
            taken += len(chunk)
            if (passed := time.monotonic() - since) >= PATIENCE_SECONDS:
                if taken < SLOWEST_BYTES_PER_SECOND * passed:
                    raise OriginError(f"only {taken:,} bytes in {passed:.0f} seconds", passing=True)
                since, taken = time.monotonic(), 0
            if file.tell() - looked >= RESERVE_BYTES // 4 and self._expected() is None:
                self._check_room(here)
                looked = file.tell()
            again = chunk[: max(0, here - file.tell())]  # of what we have
            if again and file.read(len(again)) != again:
                raise _RestartError(OTHER_BYTES)
            new = chunk[len(again) :]
            file.seek(file.tell())  # between reading and writing a file wants to be told where
            file.write(new)
            self.progress(len(new))
            if (expected := self._expected()) is not None and file.tell() > expected:
                raise OriginError(f"more than the {expected:,} bytes that it should have", passing=False)

    def _check_version(self, reply: Reply, here: int) -> None:
        """Hold what the origin says to what is declared, and to what it said when the transfer began."""
        if self.size is not None and reply.total not in (None, self.size):
            raise OriginError(
                f"the server has {reply.total:,} bytes, the source declares {self.size:,}: it is another file, or an "
                "error page",
                passing=False,
            )
        known = self._noted()
        if here and (reply.tag, reply.total) != (known.get("tag"), known.get("total")):
            raise _RestartError("another version of it than before")
        if not here:
            self.note.write_text(json.dumps({"origin": self.origin.name, "tag": reply.tag, "total": reply.total}))

    def _wrong(self) -> str | None:
        """What the bytes that came in are not, but should be."""
        sums = {"sha256": self.sha256 or self.origin.sha256, "sha1": self.sha1}
        expected = {kind: value for kind, value in sums.items() if value}
        if self._expected() not in (None, self._here()):
            return f"{self._here():,} bytes, where there should be {self._expected():,}"
        for kind, value in expected.items():
            with self.partial.open("rb") as file:
                found = hashlib.file_digest(file, kind).hexdigest()
            if found != value:
                return f"its {kind} is {found}, where it should be {value}: it changed, or was damaged on its way"
        return None

    def _here(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _expected(self) -> int | None:
        return self.size if self.size is not None else self._noted().get("total")

    def _noted(self) -> dict[str, Any]:
        try:
            noted = json.loads(self.note.read_bytes())
        except (OSError, ValueError):
            return {}
        return noted if isinstance(noted, dict) and noted.get("origin") == self.origin.name else {}

    def _drop(self) -> None:
        self.progress(-self._here())
        self.partial.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
