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
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

import httpx

from .errors import ApiError
from .settings import ServerSettings

REDIRECTS = 3
SECONDS = 10.0
"""For all of one picture, redirects included."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str], Awaitable[list[str]]]

NAT64 = ipaddress.ip_network("64:ff9b::/96")


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
        except (TimeoutError, httpx.HTTPError, OSError):
            raise _refusal(name, f"not there within {SECONDS:g} seconds; send it as a data URI") from None
        raise _refusal(name, f"redirected more than {REDIRECTS} times; name the picture itself")

    async def _get(self, url: str, name: str) -> bytes | str:
        """The bytes, or where they are said to be instead."""
        parts = self._checked(url, name)
        address = await self._public_address(str(parts.hostname), name)
        target = urlunsplit(
            ("https", f"[{address}]" if address.version == 6 else str(address), parts.path, parts.query, "")
        )
        # A client of its own: no cookies, no proxies, no connection that another host's certificate opened.
        async with httpx.AsyncClient(transport=self._transport, trust_env=False, follow_redirects=False) as client:
            headers = {"Host": str(parts.hostname), "Accept": "image/*", "Accept-Encoding": "identity"}
            extensions: dict[str, Any] = {"sni_hostname": str(parts.hostname)}
            async with client.stream("GET", target, headers=headers, extensions=extensions) as response:
                if response.is_redirect:
                    return urljoin(url, response.headers.get("location", ""))
                if response.status_code != 200 or response.headers.get("content-encoding", "identity") != "identity":
                    raise _refusal(name, f"its host answers {response.status_code}; send it as a data URI")
                data = bytearray()
                async for block in response.aiter_raw():
                    data += block
                    if len(data) > self._settings.pictures.max_bytes:
                        raise _refusal(name, f"more than {self._settings.pictures.max_bytes:,} bytes; make it smaller")
                return bytes(data)

    def _checked(self, url: str, name: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _refusal(name, "no address; send a data URI") from None
        odd = (
            "@" in parts.netloc or port not in (None, 443) or not url.isascii() or not url.isprintable() or "\\" in url
        )
        if parts.scheme != "https" or odd:
            raise _refusal(name, "not a plain https address; send a data URI")
        if parts.hostname not in self._settings.image_hosts:
            raise _refusal(name, "its host is not among those that pictures are fetched from; send a data URI")
        return parts

    async def _public_address(self, host: str, name: str) -> Address:
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in await self._resolve(host)]
        if not addresses or not all(is_public(address) for address in addresses):
            raise _refusal(name, "its host is not on the public network; send a data URI")
        return addresses[0]


def is_public(address: Address) -> bool:
    """Whether an address is neither this machine, nor its network, nor a disguise of either."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.teredo is not None or (inner is not None and not is_public(inner)):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _refusal(name: str, why: str) -> ApiError:
    return ApiError(400, f"{name}: {why}", "invalid_image", name)
