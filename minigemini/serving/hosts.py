"""Host names and IP addresses: a strict authority parser, and checks for loopback and public addresses."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_AUTHORITY = re.compile(r"(?:\[(?P<literal>[0-9a-f:.]{2,45})\]|(?P<name>[a-z0-9._-]{1,253}))(?::(?P<port>[0-9]{1,5}))?")

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""The only publicly routed part of IPv6."""

# IANA's special-purpose registries, multicast and former class E. `ipaddress.is_global` differs between Python versions
# and includes some of these.
_SPECIAL_IPV4 = [
    ipaddress.IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
]
# The special-purpose networks inside 2000::/3: IETF protocols (Teredo, ORCHID), documentation, 6to4, AS112.
_SPECIAL_IPV6 = [
    ipaddress.IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
]


@dataclass(frozen=True)
class Authority:
    """A host and an optional port."""

    host: str
    """Lower case, without a trailing dot or the brackets of an IPv6 address."""
    port: int | None = None


def parse_authority(text: str) -> Authority | None:
    """Parse `host`, `host:port`, `[IPv6]` or `[IPv6]:port`, as in a Host header; return None for anything else.

    User names, zone identifiers, percent-encoding and non-ASCII characters are rejected.
    """
    match = _AUTHORITY.fullmatch(text.lower()) if text.isascii() else None
    if match is None:
        return None
    port = None if match["port"] is None else int(match["port"])
    if port is not None and port > 65535:
        return None
    if match["literal"] is None:
        host = match["name"].removesuffix(".")
        return Authority(host, port) if host and ".." not in host and not host.startswith(".") else None
    try:
        return Authority(str(ipaddress.IPv6Address(match["literal"])), port)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Return whether the host of an `Authority` is a loopback address or `localhost`; no name is resolved."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def names_loopback(host_header: str) -> bool:
    """Return whether a Host header names this machine.

    A server without an API key accepts no other: a malicious web page can make its own host name resolve to 127.0.0.1
    (DNS rebinding), but its requests carry that name.
    """
    authority = parse_authority(host_header)
    return authority is not None and is_loopback(authority.host)


def is_local_origin(origin: str) -> bool:
    """Return whether an Origin header names a page on this machine; `null` does not."""
    scheme, separator, authority = origin.partition("://")
    return bool(separator) and scheme.lower() in ("http", "https") and names_loopback(authority)


def is_origin(text: str) -> bool:
    """Return whether a string is an origin as browsers send it, other than `null`."""
    scheme, separator, authority = text.partition("://")
    return bool(separator) and scheme in ("http", "https") and text == text.lower() and bool(parse_authority(authority))


def is_base_url(url: str) -> bool:
    """Return whether a string is an http or https URL without credentials, query or fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_plain = url.isascii() and url.isprintable() and " " not in url and not (parts.query or parts.fragment)
    return is_plain and parts.scheme in ("http", "https") and parse_authority(parts.netloc) is not None


def is_public(address: Address) -> bool:
    """Return whether an address is on the public internet: not local, not private, and not a tunnel to such a one."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _SPECIAL_IPV4)
    if address in _NAT64:  # DNS64 resolvers return these for IPv4 hosts
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _GLOBAL_UNICAST and not any(address in network for network in _SPECIAL_IPV6)
