"""Origins of files: HTTP servers, the hub, and fsspec. An origin streams a file from a byte offset."""

import re
from collections.abc import Iterator, Mapping
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
_HUB = re.compile(r"hf://(datasets/)?([^/@]+/[^/@]+)(?:@([^/]+))?/(.+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class OriginError(OSError):
    """An origin does not provide the file.

    Attributes:
        transient: whether a retry may succeed.
    """

    def __init__(self, message: str, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


@dataclass(frozen=True)
class Reply:
    """Response of an origin.

    Attributes:
        start: offset of the first byte, which may differ from the requested one.
        total: size of the whole file, if known.
        tag: identifier of this version of the file, if known.
        chunks: the bytes.
    """

    start: int
    total: int | None
    tag: str | None
    chunks: Iterator[bytes]


class Origin(Protocol):
    """Location of one file."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str | None:
        """SHA-256 that the origin reports, if any."""
        ...

    def open(self, start: int) -> Any:
        """Context manager that yields a `Reply` with the bytes from `start`.

        Raises:
            OriginError: The file is not provided.
        """
        ...


@dataclass(frozen=True)
class HttpOrigin:
    """A file on a server, requested through `huggingface_hub`'s session with its proxy and certificate settings."""

    name: str
    headers: tuple[tuple[str, str], ...] = ()
    sha256: str | None = None

    @contextmanager
    def open(self, start: int) -> Iterator[Reply]:
        # Chunks as received: larger buffers would be lost with the connection.
        headers = {**dict(self.headers), "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        with open_http(self.name, headers) as response:
            yield self._reply(response, start)

    def _reply(self, response: Any, start: int) -> Reply:
        status, headers = response.status_code, response.headers
        tag = headers.get("ETag") or headers.get("Last-Modified")
        if status == 416 and start:  # the file on the server ends before our offset, so it is another file
            return Reply(-1, None, tag, iter(()))
        if status in (401, 403):
            raise OriginError(f"{status}: access must be requested, or a login is needed", transient=False)
        if status not in (200, 206):
            raise OriginError(f"the server answers {status}", transient=status >= 500 or status in (408, 429))
        if "html" in headers.get("Content-Type", "") and PurePosixPath(self.name.partition("?")[0]).suffix != ".html":
            raise OriginError("the server returns a web page instead", transient=False)
        if headers.get("Content-Encoding", "identity") != "identity":
            raise OriginError(
                "the server returns compressed content, though identity encoding was requested", transient=False
            )
        if status == 206:
            first, total = _range(headers)
            return Reply(-1 if first is None else first, total, tag, response.iter_raw())
        length = headers.get("Content-Length", "")
        return Reply(0, int(length) if _LENGTH.fullmatch(length) else None, tag, response.iter_raw())


@contextmanager
def open_http(url: str, headers: Mapping[str, str]) -> Iterator[Any]:
    """Request a URL, and yield the response, whose content has not been read.

    Raises:
        OriginError: The server does not answer, or redirects from https to http.
    """
    from huggingface_hub import get_session

    session = get_session()
    # httpx or requests, depending on the version of huggingface_hub.
    failures: Any = import_module(type(session).__module__.partition(".")[0]).HTTPError
    try:
        with session.stream("GET", url, headers=headers, timeout=_SECONDS, follow_redirects=True) as response:
            refuse_downgrade(url, response)
            yield response
    except failures as error:
        raise OriginError(f"{type(error).__name__}: {error}", transient=True) from None


def refuse_downgrade(url: str, response: Any) -> None:
    """Refuse redirects from https to http, where the file could be changed in transit.

    Raises:
        OriginError: `url` is https, and the response or a redirect is http.
    """
    urls = [str(reply.url) for reply in (*response.history, response)]
    if url.startswith("https:") and any(visited.startswith("http:") for visited in urls):
        raise OriginError("the server redirects from https to http", transient=False)


def _range(headers: Any) -> tuple[int | None, int | None]:
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    first, total = found.groups() if found else (None, None)
    return (None if first is None else int(first), int(total) if total and total != "*" else None)


@dataclass(frozen=True)
class HubOrigin:
    """A file of a dataset or model on the hub, which reports its checksum."""

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
        assert found, self.name  # URLs come from our table of sources
        dataset, repo, revision, path = found.groups()
        url = hf_hub_url(repo, path, repo_type="dataset" if dataset else "model", revision=revision)
        try:
            etag = get_hf_file_metadata(url).etag or ""
        except GatedRepoError:
            raise OriginError("request access on the hub, then run `hf auth login`", transient=False) from None
        except HfHubHTTPError as error:
            status = getattr(error.response, "status_code", None)
            raise OriginError(f"the hub answers {status}", transient=status is None or status >= 500) from None
        except Exception as error:
            if not isinstance(error, OSError) and "http" not in type(error).__module__:
                raise
            raise OriginError(f"the hub does not answer ({type(error).__name__})", transient=True) from None
        headers = tuple(build_hf_headers().items())
        return HttpOrigin(url, headers, etag if _SHA256.fullmatch(etag) else None)


@dataclass(frozen=True)
class FileOrigin:
    """A file that fsspec can open: local, S3, GCS and others."""

    name: str
    sha256: str | None = None

    @contextmanager
    def open(self, start: int) -> Iterator[Reply]:
        import fsspec

        try:
            system, path = fsspec.core.url_to_fs(self.name)
            info = system.info(path)
            if info["type"] != "file":
                raise OriginError("not a file", transient=False)
            with system.open(path, "rb") as file:
                file.seek(min(start, info["size"]))
                tag = str(info.get("ETag") or info.get("mtime") or "") or None
                yield Reply(min(start, info["size"]), info["size"], tag, iter(lambda: file.read(CHUNK_BYTES), b""))
        except FileNotFoundError:
            raise OriginError("no such file", transient=False) from None
        except ImportError as error:
            raise OriginError(str(error), transient=False) from None
        except (OSError, ValueError) as error:
            if isinstance(error, OriginError):
                raise
            raise OriginError(f"{type(error).__name__}: {error}", transient=True) from None


def origin_of(url: str) -> Origin:
    """Choose the origin for a URL or a local path."""
    if url.startswith("hf://"):
        return HubOrigin(url)
    return HttpOrigin(url) if url.startswith(("http://", "https://")) else FileOrigin(url)
