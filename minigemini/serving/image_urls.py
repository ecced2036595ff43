"""From a URL in a request to an image or a video: data URIs, https from allowed hosts, and bounded decoding.

Fetching prevents server-side request forgery: a single parser reads the URL, the host is resolved once, every address
found must be public, and the connection goes to that address while the certificate is checked against the host name.
Redirects pass the same checks.
"""

import asyncio
import base64
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx
from PIL import Image

from ..images.data_uris import base64_of, decode_base64
from ..images.decoders import Stop, open_isolated, open_video
from ..images.safe_images import ImageError
from ..images.video import VideoLimits
from .api_errors import ApiError, printable
from .hosts import Address, is_public, parse_authority
from .server_settings import ServerSettings

MAX_REDIRECTS = 3
FETCH_SECONDS = 10.0
"""Time limit for one image, redirects included."""
MAX_URL_CHARS = 8192
"""More than browsers and servers use; httpx rejects 65,536."""

T = TypeVar("T")
Resolve = Callable[[str], Awaitable[list[str]]]


def decode_data_uri(
    data_uri: str, settings: ServerSettings, name: str, media: Literal["image", "video"] = "image"
) -> bytes:
    """Return the bytes of a data URI.

    Raises:
        ApiError: 400 if it is not a data URI of an image, or of a video, or too large.
    """
    max_bytes = (settings.images if media == "image" else settings.videos).max_bytes
    try:
        data = decode_base64(base64_of(data_uri, media))
    except ValueError as error:
        raise _invalid_image(name, str(error)) from None
    if len(data) > max_bytes:
        raise _invalid_image(name, f"{len(data):,} bytes; use at most {max_bytes:,} bytes")
    return data


def encode_data_uri(png: bytes) -> str:
    """Return the data URI of a PNG file."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def open_images(files: Sequence[bytes], settings: ServerSettings, stop: Stop | None = None) -> list[Image.Image]:
    """Decode the images of one request, within limits on each image and on their total pixels. Blocking.

    Args:
        files: encoded images.
        settings: the limits.
        stop: stops the decoder of the current image.

    Raises:
        ApiError: 400 if an image cannot be decoded.
        DecodingStoppedError: `stop` was set.
    """
    return [part["image"] for part in open_media(files, [False] * len(files), settings, stop)]


def open_media(
    files: Sequence[bytes], are_videos: Sequence[bool], settings: ServerSettings, stop: Stop | None = None
) -> list[dict[str, Any]]:
    """Decode the images and videos of one request like `open_images`, and return their parts of a message.

    Args:
        files: encoded images and videos.
        are_videos: which of them are videos.
        settings: the limits, and which frames are taken.
        stop: stops the decoder of the current file.

    Raises:
        ApiError: 400 if one cannot be decoded.
        DecodingStoppedError: `stop` was set.
    """
    parts: list[dict[str, Any]] = []
    pixels_left = settings.max_total_pixels
    for data, is_video in zip(files, are_videos, strict=True):
        kind = "video" if is_video else "image"
        name = f"{kind} {1 + sum(part['type'] == kind for part in parts)}"
        decoded: Any
        try:
            if is_video:
                decoded = open_video(
                    data, settings.video_sampling, _within(settings.videos, pixels_left), name, stop=stop
                )
            else:
                limits = replace(settings.images, max_pixels=min(settings.images.max_pixels, pixels_left))
                decoded = open_isolated(data, limits, name=name, stop=stop)
        except ImageError as error:
            raise ApiError(400, str(error), f"invalid_{kind}", "messages") from None
        pixels_left -= sum(image.width * image.height for image in (decoded.frames if is_video else [decoded]))
        parts.append({"type": kind, kind: decoded})
    return parts


def _within(limits: VideoLimits, pixels: int) -> VideoLimits:
    return replace(limits, max_total_pixels=min(limits.max_total_pixels, pixels))


async def run_stoppable(work: Callable[[Stop], T]) -> T:
    """Run blocking work in a thread; cancellation sets the `Stop`, which ends image decoding."""
    stop = Stop()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(running)
    finally:
        if not running.done():
            stop.set()
            await asyncio.wait([running])
            running.exception()  # retrieve it, or asyncio logs "exception was never retrieved"


async def resolve_host(host: str) -> list[str]:
    """Return all addresses of a host."""
    found = await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class ImageFetcher:
    """Fetches images over https from the hosts that the operator allows.

    Args:
        settings: the allowed hosts and the maximum size.
        resolve: resolves a host to its addresses.
        transport: replaces the default transport of httpx.
    """

    def __init__(
        self,
        settings: ServerSettings,
        resolve: Resolve = resolve_host,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings, self._resolve, self._transport = settings, resolve, transport

    async def fetch(self, url: str, name: str) -> bytes:
        """Return the bytes at a URL.

        Raises:
            ApiError: 400 if the URL is not allowed, or the response is missing, too large or too slow.
        """
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                for _ in range(1 + MAX_REDIRECTS):
                    result = await self._get(url, name)
                    if isinstance(result, bytes):
                        return result
                    url = result
        except TimeoutError:
            raise _invalid_image(name, f"not received within {FETCH_SECONDS:g} s; send it as a data URI") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError):
            # ValueError: a host name that DNS cannot encode, or a redirect to an invalid URL.
            raise _invalid_image(name, "cannot be fetched from its host; send it as a data URI") from None
        raise _invalid_image(name, f"redirected more than {MAX_REDIRECTS} times; use the final URL")

    async def _get(self, url: str, name: str) -> bytes | str:
        """Return the response body, or the target of a redirect."""
        host, path = self._checked_url(url, name)
        address = await self._public_address(host, name)
        target = urlunsplit(("https", f"[{address}]" if address.version == 6 else str(address), *path, ""))
        # A new client per request: no cookies, no proxies, no connection opened with another host's certificate.
        async with httpx.AsyncClient(transport=self._transport, trust_env=False, follow_redirects=False) as client:
            headers = {"Host": host, "Accept": "image/*", "Accept-Encoding": "identity"}
            extensions: dict[str, Any] = {"sni_hostname": host}
            async with client.stream("GET", target, headers=headers, extensions=extensions) as response:
                if response.is_redirect:
                    return urljoin(url, response.headers.get("location", ""))
                encoding = response.headers.get("content-encoding", "identity")
                if response.status_code != 200:
                    raise _invalid_image(name, f"its host answered {response.status_code}; send it as a data URI")
                if encoding != "identity":  # a small compressed body can expand to gigabytes
                    raise _invalid_image(name, f"compressed with {printable(encoding)}; send it as a data URI")
                data, max_bytes = bytearray(), self._settings.images.max_bytes
                async for block in response.aiter_raw():
                    data += block
                    if len(data) > max_bytes:
                        raise _invalid_image(name, f"more than {max_bytes:,} bytes; use a smaller image")
                return bytes(data)

    def _checked_url(self, url: str, name: str) -> tuple[str, tuple[str, str]]:
        """Return the host of a URL, and its path and query."""
        if len(url) > MAX_URL_CHARS:
            raise _invalid_image(
                name, f"a URL of {len(url):,} characters; use at most {MAX_URL_CHARS:,}, or send a data URI"
            )
        try:
            parts = urlsplit(url)
        except ValueError:
            raise _invalid_image(name, "invalid URL; send a data URI") from None
        authority = parse_authority(parts.netloc)
        odd = not url.isascii() or not url.isprintable() or "\\" in url
        if parts.scheme != "https" or odd or authority is None or authority.port not in (None, 443):
            raise _invalid_image(name, "not a plain https URL; send a data URI")
        if authority.host not in self._settings.image_hosts:
            raise _invalid_image(name, "its host is not allowed (option --allow-image-host); send a data URI")
        return authority.host, (parts.path, parts.query)

    async def _public_address(self, host: str, name: str) -> Address:
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in await self._resolve(host)]
        if not addresses or not all(is_public(address) for address in addresses):
            raise _invalid_image(name, "its host is not on the public network; send a data URI")
        return addresses[0]


def _invalid_image(name: str, reason: str) -> ApiError:
    return ApiError(400, f"{name}: {reason}", f"invalid_{name.split()[0]}", "messages")
