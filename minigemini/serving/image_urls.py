"""Fetches pictures from hosts that the operator has named, and from nowhere else.

One parser reads an address, and what it read is what is connected to: the host is looked up once, every address found
must be a public one, and the connection goes to such an address, with the certificate still checked against the name.
A redirect is a new address, and passes the same checks.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx

from .api_errors import ApiError
from .hosts import Address, is_public, parse_authority
from .server_settings import ServerSettings

REDIRECTS = 3
SECONDS = 10.0
"""For all of one picture, redirects included."""
MAX_URL_CHARS = 8192
"""Longer than what browsers and servers exchange; httpx refuses 65,536."""

Resolve = Callable[[str], Awaitable[list[str]]]


async def look_up(host: str) -> list[str]:
    """All addresses of a host."""
    found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Fetcher:
    """Fetches by https.

    Args:
        settings: which hosts, and how many bytes.
        resolve: from a host to its addresses.
        transport: of httpx, in place of its own.
    """

    def __init__(
        self, settings: ServerSettings, resolve: Resolve = look_up, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._settings, self._resolve, self._transport = settings, resolve, transport

    async def fetch(self, url: str, name: str) -> bytes:
        """The bytes at an address.

        Raises:
            ApiError: 400: it may not be fetched, or is not there, or is too large or too slow.
        """
        try:
            async with asyncio.timeout(SECONDS):
                for _ in range(1 + REDIRECTS):
                    found = await self._get(url, name)
                    if isinstance(found, bytes):
                        return found
                    url = found
        except TimeoutError:
            raise _refusal(name, f"not there within {SECONDS:g} seconds; send it as a data URI") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError):
            # ValueError: a name that cannot be encoded for DNS, or a redirect to what is no URL.
            raise _refusal(name, "cannot be fetched from its host; send it as a data URI") from None
        raise _refusal(name, f"redirected more than {REDIRECTS} times; name the picture itself")

    async def _get(self, url: str, name: str) -> bytes | str:
        """The bytes, or where they are said to be instead."""
        host, path = self._checked(url, name)
        address = await self._public_address(host, name)
        target = urlunsplit(("https", f"[{address}]" if address.version == 6 else str(address), *path, ""))
        # A client of its own: no cookies, no proxies, no connection that another host's certificate opened.
        async with httpx.AsyncClient(transport=self._transport, trust_env=False, follow_redirects=False) as client:
            headers = {"Host": host, "Accept": "image/*", "Accept-Encoding": "identity"}
            extensions: dict[str, Any] = {"sni_hostname": host}
            async with client.stream("GET", target, headers=headers, extensions=extensions) as response:
                if response.is_redirect:
                    return urljoin(url, response.headers.get("location", ""))
                if response.status_code != 200 or response.headers.get("content-encoding", "identity") != "identity":
                    raise _refusal(name, f"its host answers {response.status_code}; send it as a data URI")
                data = bytearray()
                async for block in response.aiter_raw():
                    data += block
                    if len(data) > self._settings.images.max_bytes:
                        raise _refusal(name, f"more than {self._settings.images.max_bytes:,} bytes; make it smaller")
                return bytes(data)

    def _checked(self, url: str, name: str) -> tuple[str, tuple[str, str]]:
        """The host of an address, and its path and query."""
        if len(url) > MAX_URL_CHARS:
            raise _refusal(name, f"an address of {len(url):,} characters; send a data URI")
        try:
            parts = urlsplit(url)
        except ValueError:
            raise _refusal(name, "no address; send a data URI") from None
        authority = parse_authority(parts.netloc)
        odd = not url.isascii() or not url.isprintable() or "\\" in url
        if parts.scheme != "https" or odd or authority is None or authority.port not in (None, 443):
            raise _refusal(name, "not a plain https address; send a data URI")
        if authority.host not in self._settings.image_hosts:
            raise _refusal(name, "its host is not among those that pictures are fetched from; send a data URI")
        return authority.host, (parts.path, parts.query)

    async def _public_address(self, host: str, name: str) -> Address:
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in await self._resolve(host)]
        if not addresses or not all(is_public(address) for address in addresses):
            raise _refusal(name, "its host is not on the public network; send a data URI")
        return addresses[0]


def _refusal(name: str, why: str) -> ApiError:
    return ApiError(400, f"{name}: {why}", "invalid_image", name)
