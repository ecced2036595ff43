"""Files of the page: uploads and generated images, limited per session and in total, deleted with their session.

A session is a browser, identified by a cookie. It ends when none of its tabs has been open for a while.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..api_errors import ApiError

log = logging.getLogger("minigemini.serving")


@dataclass(frozen=True)
class UploadLimits:
    """Maximum size and number of the files on disk."""

    session_bytes: int = 256 * 2**20
    session_files: int = 200
    total_bytes: int = 2 * 2**30
    """Over all sessions, as `total_files`."""
    total_files: int = 5000
    idle_seconds: float = 60.0
    """How long files stay after the last tab of a session is closed: a page that is being reloaded still needs them."""


@dataclass
class _Session:
    files: set[Path] = field(default_factory=set)
    expected_bytes: int = 0
    """Size of the uploads in progress."""
    open_tabs: int = 0
    idle_since: float = 0.0


class UploadStore:
    """Tracks the files in one folder by session. Not thread-safe: runs in the event loop's thread.

    Args:
        folder: contains only files of the page; Gradio stores uploads in it.
        limits: maximum size and number of files.
        clock: a monotonic clock, in seconds.
    """

    def __init__(
        self, folder: Path, limits: UploadLimits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder, self.limits, self._clock = folder.resolve(), limits or UploadLimits(), clock
        self._sessions: dict[str, _Session] = {}
        self._sizes: dict[Path, int] = {}
        """Size of every file of a session; identical uploads of two sessions are one file."""

    def bytes_of(self, session: str | None = None) -> int:
        """Return the bytes of a session, or of all sessions, including uploads in progress."""
        if session is None:
            return sum(self._sizes.values()) + sum(entry.expected_bytes for entry in self._sessions.values())
        entry = self._sessions.get(session, _Session())
        return sum(self._sizes[file] for file in entry.files) + entry.expected_bytes

    @contextmanager
    def reserve(self, session: str, size: int) -> Iterator[None]:
        """Reserve space for an upload in progress.

        Raises:
            ApiError: 413 if it exceeds a limit.
        """
        self._check(session, size)
        entry = self._sessions.setdefault(session, _Session())
        entry.expected_bytes += size
        try:
            yield
        finally:
            entry.expected_bytes -= size
            entry.idle_since = self._clock()
            if not any(other.expected_bytes for other in self._sessions.values()):
                self._sweep()
            self._expire_later()

    def add(self, session: str, files: Iterable[Path]) -> None:
        """Add files to a session.

        Raises:
            ApiError: 413 if they exceed a limit; they are deleted.
        """
        entry = self._sessions.setdefault(session, _Session())
        entry.idle_since = self._clock()
        new = {file for file in map(Path, files) if file.is_file()} - entry.files
        entry.files |= new
        self._sizes |= {file: file.stat().st_size for file in new}
        try:
            self._check(session, 0)
        except ApiError:
            self._drop(entry, new)
            raise

    def write(self, session: str, png: bytes) -> Path:
        """Write a generated image for a session and return its path.

        Raises:
            ApiError: 413 if it exceeds a limit, 507 if it cannot be written.
        """
        self._check(session, len(png))
        file = self.folder / f"made-{secrets.token_hex(16)}.png"
        try:
            file.write_bytes(png)
        except OSError as error:
            file.unlink(missing_ok=True)
            raise ApiError(
                507, f"the image was not saved: {error.strerror}; contact the operator of this page"
            ) from None
        self.add(session, [file])
        self._expire_later()
        return file

    def writer(self, session: str) -> Callable[[bytes], Path]:
        """Return `write` for one session."""
        return lambda png: self.write(session, png)

    @contextmanager
    def tab(self, session: str) -> Iterator[None]:
        """Keep the files of a session while one of its tabs is open."""
        entry = self._sessions.setdefault(session, _Session())
        entry.open_tabs += 1
        try:
            yield
        finally:
            entry.open_tabs -= 1
            entry.idle_since = self._clock()
            self._expire_later()

    def expire(self) -> None:
        """Delete the files of sessions that have ended."""
        now = self._clock()
        for name, entry in list(self._sessions.items()):
            busy = entry.open_tabs or entry.expected_bytes
            if not busy and now - entry.idle_since >= self.limits.idle_seconds:
                del self._sessions[name]
                self._drop(entry, entry.files)

    def _check(self, session: str, more_bytes: int) -> None:
        limits, entry = self.limits, self._sessions.get(session, _Session())
        in_session = "per browser; close its other tabs and reload the page"
        in_total = "in total; try again later"
        for count, limit, unit, fix in (
            (self.bytes_of(session) + more_bytes, limits.session_bytes, "bytes", in_session),
            (len(entry.files), limits.session_files, "files", in_session),
            (self.bytes_of() + more_bytes, limits.total_bytes, "bytes", in_total),
            (len(self._sizes), limits.total_files, "files", in_total),
        ):
            if count > limit:
                message = f"{count:,} {unit}; the page stores at most {limit:,} {unit} of images {fix}"
                raise ApiError(413, message, code="uploads_full")

    def _drop(self, entry: _Session, files: Iterable[Path]) -> None:
        """Remove files from a session, and delete those that no other session has."""
        dropped = set(files)
        entry.files -= dropped
        for file in dropped - set().union(*(other.files for other in self._sessions.values())):
            del self._sizes[file]
            self._delete(file)

    def _sweep(self) -> None:
        """Delete the leftovers of interrupted uploads: Gradio's temporary files are at the top level of the folder."""
        for file in self.folder.iterdir():
            if file not in self._sizes and file.is_file():
                self._delete(file)

    def _delete(self, file: Path) -> None:
        try:
            file.unlink(missing_ok=True)
            if (
                file.parent != self.folder
            ):  # Gradio names the folder by the content; it can contain the same image under another name
                with suppress(OSError):
                    file.parent.rmdir()
        except OSError as error:
            log.error("cannot delete a file of the page: %s", error.strerror)

    def _expire_later(self) -> None:
        with suppress(RuntimeError):  # without an event loop nothing expires
            asyncio.get_running_loop().call_later(self.limits.idle_seconds + 0.01, self.expire)
