"""Decodes base64 and data URIs, in all common variants."""

import base64
import binascii
import re
from typing import Literal

_URIS = {
    "image": re.compile(r"data:image/[\w.+-]+((?:;[^;,]*)*),", re.IGNORECASE),
    "video": re.compile(r"data:(?:video/[\w.+-]+|image/gif|image/webp)((?:;[^;,]*)*),", re.IGNORECASE),
}
_EXAMPLES = {"image": "data:image/png;base64,… (or jpeg, webp, gif)", "video": "data:video/mp4;base64,… (or webm)"}
_MAX_HEAD_CHARS = 1024
_SPACE = b" \t\r\n\f\v"
# Characters of base64 that are escaped in URIs. urllib's `unquote` builds a list of all escapes, up to a gigabyte.
_ESCAPES = {"%2B": "+", "%2F": "/", "%3D": "=", "%0D": "", "%0A": ""}
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def is_data_uri(text: str) -> bool:
    """Whether a string starts like a data URI."""
    return text[:5].lower() == "data:"


def decode_base64(text: str) -> bytes:
    """Decode base64, standard or URL-safe, with or without line breaks and padding.

    Raises:
        ValueError: The text is not base64.
    """
    try:
        data = text.encode("ascii").translate(_TO_STANDARD, _SPACE).rstrip(b"=")
        return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise ValueError("invalid base64; encode the whole file") from None


def base64_of(uri: str, media: Literal["image", "video"] = "image") -> str:
    """Extract the base64 from the data URI of an image or a video. Other parameters are ignored.

    Raises:
        ValueError: The URI is not a base64 data URI of the kind.
    """
    head = _URIS[media].match(uri, 0, _MAX_HEAD_CHARS)
    if head is None:
        raise ValueError(f"data URI is not {'an image' if media == 'image' else 'a video'}; send {_EXAMPLES[media]}")
    if head[1].lower().split(";")[-1].strip() != "base64":
        raise ValueError(f"data URI is not base64; send {_EXAMPLES[media].split()[0]}")
    encoded = uri[head.end() :]
    if "%" in encoded:
        for escape, character in _ESCAPES.items():
            encoded = encoded.replace(escape, character).replace(escape.lower(), character)
    return encoded
