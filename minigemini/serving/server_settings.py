"""What a server lets in. The defaults are safe; every widening of them is asked for by name."""

from dataclasses import dataclass, field

from ..images.safe_images import ImageLimits
from ..io.errors import RequestError
from .hosts import is_loopback, parse_authority

SHORTEST_KEY = 16
"""Characters; a shorter key is guessed."""


@dataclass(frozen=True)
class ServerSettings:
    """Where a server listens, whom it serves, and the most it takes on.

    Raises:
        RequestError: a public address without a key, a key that is guessed, or a limit below 1.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    """0: any free one."""
    api_keys: tuple[str, ...] = ()
    """One of them opens every route; /health alone needs none."""
    max_body_bytes: int = 32 * 2**20
    body_seconds: float = 30.0
    """Time to send a body in."""
    max_text_chars: int = 200_000
    """Text of all messages together."""
    images: ImageLimits = field(default_factory=lambda: ImageLimits(max_bytes=20 * 2**20, max_pixels=40_000_000))
    max_images: int = 8
    """Per request."""
    max_total_pixels: int = 80_000_000
    """Decoded pixels of all pictures of a request."""
    image_hosts: tuple[str, ...] = ()
    """Hosts that pictures may be fetched from by https; without any, pictures come as data URIs alone."""
    max_new_tokens: int = 1024
    """Longest answer, tokens; also what is written where a request does not say."""
    max_choices: int = 8
    """The largest `n`."""
    max_drawn_pixels: int = 2**21
    """Of a picture that is drawn in a size asked for."""
    concurrency: int = 1
    """Requests that are answered at the same time."""
    queue: int = 64
    """Requests that may wait; one more is sent away with 429."""
    max_waiting_bytes: int = 256 * 2**20
    """Bodies of all requests that are answered or wait; one that does not fit is sent away with 429."""
    max_connections: int = 512
    """Fewer where the limit on open files does not allow so many; beyond, the longest idle one is closed."""
    max_connections_per_address: int = 256
    """A reverse proxy is one address."""
    header_seconds: float = 10.0
    """Time to send a request's headers in, from the connection or the last answer on."""
    send_seconds: float = 10.0
    """Time for a client to read 64 KiB of its answer; then it is given up."""
    drain_seconds: float = 60.0
    """After SIGTERM, time for what was accepted."""

    def __post_init__(self) -> None:
        if not self.api_keys and not is_loopback(bare_host(self.host)):
            raise RequestError(f"{self.host} is reached from other machines: set a key (--api-key), or use 127.0.0.1")
        if short := [key for key in self.api_keys if len(key) < SHORTEST_KEY]:
            raise RequestError(f"a key of {len(short[0])} characters is guessed; use {SHORTEST_KEY} or more")
        for name in self.image_hosts:
            authority = parse_authority(f"[{name}]" if ":" in name else name)
            if authority is None or authority.host != name:
                raise RequestError(
                    f"image host {name[:100]!r}: not a host name; give it alone, e.g. images.example.com"
                )
        counts = (
            "max_body_bytes",
            "max_images",
            "max_total_pixels",
            "max_drawn_pixels",
            "max_new_tokens",
            "max_choices",
            "max_connections",
            "max_connections_per_address",
        )
        for name in (*counts, "concurrency"):
            _at_least(1, name, getattr(self, name))
        _at_least(0, "queue", self.queue)
        _at_least(self.max_body_bytes, "max_waiting_bytes", self.max_waiting_bytes)
        for name in ("body_seconds", "header_seconds", "send_seconds", "drain_seconds"):
            _at_least(0, name, getattr(self, name))


def bare_host(host: str) -> str:
    """A host to listen on, an IPv6 address without its brackets."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host.lower()


def _at_least(smallest: float, name: str, value: float) -> None:
    if value < smallest:
        raise RequestError(f"{name} is {value}; it is at least {smallest}")
