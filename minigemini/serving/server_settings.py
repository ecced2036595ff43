"""Server settings. The defaults are safe; anything less strict has to be set explicitly."""

from dataclasses import dataclass, field

from ..images.safe_images import ImageLimits
from ..images.video import VideoLimits, VideoSampling
from ..io.errors import RequestError
from .hosts import is_loopback, is_origin, parse_authority

MIN_KEY_CHARS = 16
"""Shorter keys can be guessed."""
MAX_BATCH_TOKENS = 16_384
"""Eight requests of 2,048 tokens."""


@dataclass(frozen=True)
class ServerSettings:
    """Address, access control and limits of a server.

    Raises:
        RequestError: a public address without an API key, a short key, an invalid host name, or a limit below its
            minimum.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    """0 selects a free port."""
    api_keys: tuple[str, ...] = ()
    """Any of them grants access to every route; `/health` needs none."""
    max_body_bytes: int = 32 * 2**20
    body_seconds: float = 30.0
    """Time limit for receiving a request body."""
    max_text_chars: int = 200_000
    """Characters in all messages of a request."""
    images: ImageLimits = field(default_factory=lambda: ImageLimits(max_bytes=20 * 2**20, max_pixels=40_000_000))
    max_images: int = 8
    """Images per request."""
    videos: VideoLimits = field(
        default_factory=lambda: VideoLimits(max_bytes=20 * 2**20, max_seconds=600, decode_seconds=10)
    )
    max_videos: int = 2
    """Videos per request."""
    video_sampling: VideoSampling = field(default_factory=VideoSampling)
    """Frames that are taken of a video."""
    max_total_pixels: int = 80_000_000
    """Decoded pixels of all images and frames of a request."""
    allowed_hosts: tuple[str, ...] = ()
    """Names, besides this machine's, by which a server without an API key may be called, e.g. host.docker.internal."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of web pages whose scripts may call the server (CORS), e.g. https://chat.example.com; `*` is all."""
    image_hosts: tuple[str, ...] = ()
    """Hosts from which images may be fetched over https; if empty, only data URIs are accepted."""
    max_new_tokens: int = 1024
    """Maximum tokens per choice, and the default of a request."""
    max_choices: int = 8
    """Maximum `n` of a request."""
    max_drawn_pixels: int = 2**21
    """Pixels of a generated image whose size a request sets."""
    concurrency: int = 1
    """Requests that run at the same time."""
    queue: int = 64
    """Requests that may wait; further ones get 429."""
    max_waiting_bytes: int = 256 * 2**20
    """Total size of the bodies of all running and waiting requests; further ones get 429."""
    max_connections: int = 512
    """Reduced if the limit on open files is lower; beyond it, the longest idle connection is closed."""
    max_connections_per_address: int = 256
    """A reverse proxy counts as one address."""
    header_seconds: float = 10.0
    """Time limit for receiving request headers, from the connection or the previous response."""
    send_seconds: float = 10.0
    """Time limit for a client to read 64 KiB of its response; then the connection is closed."""
    drain_seconds: float = 60.0
    """Time after SIGTERM for finishing accepted requests."""

    def __post_init__(self) -> None:
        if not self.api_keys and not is_loopback(bare_host(self.host)):
            raise RequestError(
                f"host {self.host} is reachable from other machines; set an API key (--api-key) or use 127.0.0.1"
            )
        if short := [key for key in self.api_keys if len(key) < MIN_KEY_CHARS]:
            raise RequestError(f"an API key of {len(short[0])} characters can be guessed; use at least {MIN_KEY_CHARS}")
        for kind, names in (("image host", self.image_hosts), ("host", self.allowed_hosts)):
            for name in names:
                authority = parse_authority(f"[{name}]" if ":" in name else name)
                if authority is None or authority.host != name:
                    raise RequestError(f"{kind} {name[:100]!r} is not a host name; expected e.g. images.example.com")
        for origin in self.allowed_origins:
            if origin == "*" and not self.api_keys:
                raise RequestError("origin * lets every web page use the server; set an API key (--api-key)")
            if origin != "*" and not is_origin(origin):
                raise RequestError(f"origin {origin[:100]!r} is not one; expected e.g. https://chat.example.com")
        for name in (
            "max_body_bytes",
            "max_images",
            "max_total_pixels",
            "max_drawn_pixels",
            "max_new_tokens",
            "max_choices",
            "max_connections",
            "max_connections_per_address",
            "concurrency",
        ):
            _at_least(1, name, getattr(self, name))
        _at_least(0, "queue", self.queue)
        _at_least(self.max_body_bytes, "max_waiting_bytes", self.max_waiting_bytes)
        for name in ("body_seconds", "header_seconds", "send_seconds", "drain_seconds"):
            _at_least(0, name, getattr(self, name))


def bare_host(host: str) -> str:
    """Return a listening address in lower case, or an IPv6 address without its brackets."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host.lower()


def _at_least(minimum: float, name: str, value: float) -> None:
    if value < minimum:
        raise RequestError(f"{name} is {value}; set it to at least {minimum}")
