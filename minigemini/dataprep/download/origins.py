"""Where bytes come from: a server, the hub, or whatever fsspec opens. An origin gives bytes from a position on."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any, Protocol

CHUNK_BYTES = 2**20
_SECONDS = 30.0
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]+|\*)/([0-9]{1,18}|\*)")
_LENGTH = re.compile(r"[0-9]{1,18}")
_HUB = re.compile(r"hf://datasets/([^/@]+/[^/@]+)(?:@([^/]+))?/(.+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class OriginError(OSError):
    """An origin that does not give the file; asking again may help or not.

    Attributes:
        passing: whether asking again may help.
    """

    def __init__(self, message: str, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


@dataclass(frozen=True)
class Reply:
    """What an origin gives.

    Attributes:
        start: position of the first byte, which may be another than was asked for.
        total: size of the whole file, where the origin says.
        tag: what stands for this version of the file, where the origin says.
        chunks: the bytes.
    """

    start: int
    total: int | None
    tag: str | None
    chunks: Iterator[bytes]


class Origin(Protocol):
    """One file somewhere."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str | None:
        """Its checksum, where the origin vouches for one."""
        ...

    def open(self, start: int) -> Any:
        """A context that gives a `Reply` with the bytes from `start` on.

        Raises:
            OriginError: It does not.
        """
        ...


@dataclass(frozen=True)
class HttpOrigin:
    """A file on a server, through the session of `huggingface_hub`: its proxies and certificates are set there."""

    name: str
    headers: tuple[tuple[str, str], ...] = ()
    sha256: str | None = None

    @contextmanager
    def open(self, start: int) -> Iterator[Reply]:
        from huggingface_hub import get_session

        session = get_session()
        # httpx, or what the hub's client has in its place.
        failures: Any = import_module(type(session).__module__.partition(".")[0]).HTTPError
        # Chunks as they come off the wire: what is gathered into larger ones is lost when the connection is.
        headers = {**dict(self.headers), "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        try:
            with session.stream("GET", self.name, headers=headers, timeout=_SECONDS, follow_redirects=True) as response:
                self._check_way(response)
                yield self._reply(response, start)
        except failures as error:
            raise OriginError(f"{type(error).__name__}: {error}", passing=True) from None

    def _check_way(self, response: Any) -> None:
        """Whoever asks by https is not led to where anybody on the way can change the file."""
        if self.name.startswith("https:") and any(
            str(reply.url).startswith("http:") for reply in (*response.history, response)
        ):
            raise OriginError("the server redirects from https to http", passing=False)

    def _reply(self, response: Any, start: int) -> Reply:
        status, headers = response.status_code, response.headers
        tag = headers.get("ETag") or headers.get("Last-Modified")
        if status == 416 and start:  # we ask for what we have, too: the file there ends before it
            return Reply(-1, None, tag, iter(()))
        if status in (401, 403):
            raise OriginError(f"{status}: access to it must be asked for, or a login is needed", passing=False)
        if status not in (200, 206):
            raise OriginError(f"the server answers {status}", passing=status >= 500 or status in (408, 429))
        if "html" in headers.get("Content-Type", "") and PurePosixPath(self.name.partition("?")[0]).suffix != ".html":
            raise OriginError("the server gives a web page in its place", passing=False)
        if headers.get("Content-Encoding", "identity") != "identity":
            raise OriginError("the server gives it compressed, though asked not to", passing=False)
        if status == 206:
            first, total = _range(headers)
            return Reply(-1 if first is None else first, total, tag, response.iter_raw())
        length = headers.get("Content-Length", "")
        return Reply(0, int(length) if _LENGTH.fullmatch(length) else None, tag, response.iter_raw())


def _range(headers: Any) -> tuple[int | None, int | None]:
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    first, total = found.groups() if found else (None, None)
    return (None if first is None else int(first), int(total) if total and total != "*" else None)


@dataclass(frozen=True)
class HubOrigin:
    """A file of a data set on the hub, which vouches for its checksum."""

    name: str

    @property
    def sha256(self) -> str | None:
        return self._file.sha256

    @contextmanager
    def open(self, start: int) -> Iterator[Reply]:
        with self._file.open(start) as reply:
            yield reply

    @cached_property
    def _file(self) -> HttpOrigin:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError
        from huggingface_hub.utils import build_hf_headers

        found = _HUB.fullmatch(self.name)
        assert found, self.name  # the table of sources is ours
        repo, revision, path = found.groups()
        url = hf_hub_url(repo, path, repo_type="dataset", revision=revision)
        try:
            etag = get_hf_file_metadata(url).etag or ""
        except GatedRepoError:
            raise OriginError(
                "access to it must be asked for on the hub; then `hf auth login`", passing=False
            ) from None
        except HfHubHTTPError as error:
            status = getattr(error.response, "status_code", None)
            raise OriginError(f"the hub answers {status}", passing=status is None or status >= 500) from None
        except Exception as error:
            if not isinstance(error, OSError) and "http" not in type(error).__module__:
                raise
            raise OriginError(f"the hub does not answer ({type(error).__name__})", passing=True) from None
        headers = tuple(build_hf_headers().items())
        return HttpOrigin(url, headers, etag if _SHA256.fullmatch(etag) else None)


@dataclass(frozen=True)
class FileOrigin:
    """A file that fsspec opens: on a local disk, S3, GCS, and others."""

    name: str
    sha256: str | None = None

    @contextmanager
    def open(self, start: int) -> Iterator[Reply]:
        import fsspec

        try:
            system, path = fsspec.core.url_to_fs(self.name)
            info = system.info(path)
            if info["type"] != "file":
                raise OriginError("not a file", passing=False)
            with system.open(path, "rb") as file:
                file.seek(min(start, info["size"]))
                tag = str(info.get("ETag") or info.get("mtime") or "") or None
                yield Reply(min(start, info["size"]), info["size"], tag, iter(lambda: file.read(CHUNK_BYTES), b""))
        except FileNotFoundError:
            raise OriginError("no such file", passing=False) from None
        except ImportError as error:
            raise OriginError(str(error), passing=False) from None
        except (OSError, ValueError) as error:
            if isinstance(error, OriginError):
                raise
            raise OriginError(f"{type(error).__name__}: {error}", passing=True) from None


def origin_of(url: str) -> Origin:
    """The origin of a URL or of a local path."""
    if url.startswith("hf://"):
        return HubOrigin(url)
    return HttpOrigin(url) if url.startswith(("http://", "https://")) else FileOrigin(url)
