"""The keys that open a server, compared in a time that says nothing about them."""

import hashlib
import hmac
from collections.abc import Iterable


class KeyRing:
    """Knows keys by their digests, which are of one length.

    Args:
        keys: without spaces around them; encoded in UTF-8, as clients send them.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key.encode("utf-8", "surrogateescape")) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def opens(self, given: bytes) -> bool:
        """Whether it is one of the keys; all are compared, whichever it is."""
        digest = _digest(given)
        return bool(sum(hmac.compare_digest(digest, known) for known in self._digests))


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key.strip()).digest()
