"""The files of the page: uploads and what it draws, limited per session and altogether, deleted with their session.

A session is a browser, told by a cookie. It ends when no tab of it has been open for a while.
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
    """The most that the page keeps on disk at a time."""

    session_bytes: int = 256 * 2**20
    session_files: int = 200
    total_bytes: int = 2 * 2**30
    """Of all sessions."""
    total_files: int = 5000
    idle_seconds: float = 60.0
    """How long files are kept after a session's last tab was closed: a page that is reloaded needs them again."""


@dataclass
class _Session:
    files: set[Path] = field(default_factory=set)
    expected_bytes: int = 0
    """Of uploads that are under way."""
    open_tabs: int = 0
    idle_since: float = 0.0


class UploadStore:
    """Keeps account of the files in one folder by session. All of it runs in the event loop's thread.

    Args:
        folder: holds nothing but files of the page; Gradio puts uploads into it.
        limits: on bytes and files.
        clock: seconds that only grow.
    """

    def __init__(
        self, folder: Path, limits: UploadLimits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder, self.limits, self._clock = folder.resolve(), limits or UploadLimits(), clock
        self._sessions: dict[str, _Session] = {}
        self._sizes: dict[Path, int] = {}
        """Of every file that a session has; equal uploads of two sessions are one file."""

    def bytes_of(self, session: str | None = None) -> int:
        """Bytes of a session, or of all, with those that are still expected."""
        if session is None:
            return sum(self._sizes.values()) + sum(one.expected_bytes for one in self._sessions.values())
        one = self._sessions.get(session, _Session())
        return sum(self._sizes[file] for file in one.files) + one.expected_bytes

    @contextmanager
    def receiving(self, session: str, size: int) -> Iterator[None]:
        """Hold room for an upload until it has arrived, or has not. Raises `ApiError` 413 where there is none."""
        self._check(session, size)
        one = self._sessions.setdefault(session, _Session())
        one.expected_bytes += size
        try:
            yield
        finally:
            one.expected_bytes -= size
            one.idle_since = self._clock()
            if not any(other.expected_bytes for other in self._sessions.values()):
                self._sweep()
            self._expire_later()

    def add(self, session: str, files: Iterable[Path]) -> None:
        """Files that a session has from now on. Raises `ApiError` 413, and deletes them, where they are too many."""
        one = self._sessions.setdefault(session, _Session())
        one.idle_since = self._clock()
        new = {file for file in map(Path, files) if file.is_file()} - one.files
        one.files |= new
        self._sizes |= {file: file.stat().st_size for file in new}
        try:
            self._check(session, 0)
        except ApiError:
            self._drop(one, new)
            raise

    def write(self, session: str, png: bytes) -> Path:
        """A file with a picture that was made for a session. Raises `ApiError` where there is no room."""
        self._check(session, len(png))
        file = self.folder / f"made-{secrets.token_hex(16)}.png"
        try:
            file.write_bytes(png)
        except OSError as error:
            file.unlink(missing_ok=True)
            raise ApiError(507, f"the picture was not kept: {error.strerror}; tell whoever runs this page") from None
        self.add(session, [file])
        self._expire_later()
        return file

    def keeping(self, session: str) -> Callable[[bytes], Path]:
        """`write` for one session."""
        return lambda png: self.write(session, png)

    @contextmanager
    def tab(self, session: str) -> Iterator[None]:
        """A tab of a session is open: its files stay."""
        one = self._sessions.setdefault(session, _Session())
        one.open_tabs += 1
        try:
            yield
        finally:
            one.open_tabs -= 1
            one.idle_since = self._clock()
            self._expire_later()

    def expire(self) -> None:
        """Forget sessions that have ended, and delete their files."""
        now = self._clock()
        for name, one in list(self._sessions.items()):
            busy = one.open_tabs or one.expected_bytes
            if not busy and now - one.idle_since >= self.limits.idle_seconds:
                del self._sessions[name]
                self._drop(one, one.files)

    def _check(self, session: str, more_bytes: int) -> None:
        limits, one = self.limits, self._sessions.get(session, _Session())
        whose = "of this browser, close its other tabs and reload the page"
        for have, most, what, mend in (
            (self.bytes_of(session) + more_bytes, limits.session_bytes, "bytes", whose),
            (len(one.files), limits.session_files, "files", whose),
            (self.bytes_of() + more_bytes, limits.total_bytes, "bytes", "of everyone, try again later"),
            (len(self._sizes), limits.total_files, "files", "of everyone, try again later"),
        ):
            if have > most:
                raise ApiError(413, f"the page keeps at most {most:,} {what} {mend}", code="uploads_full")

    def _drop(self, one: _Session, files: Iterable[Path]) -> None:
        """Take files from a session; those that no other one has are deleted."""
        dropped = set(files)
        one.files -= dropped
        for file in dropped - set().union(*(other.files for other in self._sessions.values())):
            del self._sizes[file]
            self._delete(file)

    def _sweep(self) -> None:
        """Delete what uploads that broke off have left: Gradio's temporary files lie at the top of the folder."""
        for file in self.folder.iterdir():
            if file not in self._sizes and file.is_file():
                self._delete(file)

    def _delete(self, file: Path) -> None:
        try:
            file.unlink(missing_ok=True)
            if file.parent != self.folder:  # Gradio's, named by the content; it may hold the same under another name
                with suppress(OSError):
                    file.parent.rmdir()
        except OSError as error:
            log.error("a file of the page is not deleted: %s", error.strerror)

    def _expire_later(self) -> None:
        with suppress(RuntimeError):  # outside of an event loop nobody waits
            asyncio.get_running_loop().call_later(self.limits.idle_seconds + 0.01, self.expire)
