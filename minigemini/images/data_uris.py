"""Bytes out of base64 and data URIs, in every form that programs write them in."""

import base64
import binascii
import re

_IMAGE_URI = re.compile(r"data:image/[\w.+-]+((?:;[^;,]*)*),", re.IGNORECASE)
_MAX_HEAD_CHARS = 1024
_SPACE = b" \t\r\n\f\v"
# What URIs escape in base64. urllib's `unquote` would make a list of all escapes, a gigabyte of a large body.
_ESCAPES = {"%2B": "+", "%2F": "/", "%3D": "=", "%0D": "", "%0A": ""}
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def is_data_uri(text: str) -> bool:
    """Whether a text is meant as a data URI."""
    return text[:5].lower() == "data:"


def decode_base64(text: str) -> bytes:
    """Decode base64, standard or URL-safe, with or without line breaks and padding.

    Raises:
        ValueError: It is not base64.
    """
    try:
        data = text.encode("ascii").translate(_TO_STANDARD, _SPACE).rstrip(b"=")
        return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise ValueError("not base64; encode the whole file") from None


def base64_of(uri: str) -> str:
    """The base64 in the data URI of an image, whatever other parameters it has.

    Raises:
        ValueError: It is no such URI.
    """
    head = _IMAGE_URI.match(uri, 0, _MAX_HEAD_CHARS)
    if head is None:
        raise ValueError("not a picture: send data:image/png;base64,… (or jpeg, webp, gif)")
    if head[1].lower().split(";")[-1].strip() != "base64":
        raise ValueError("a data URI without ;base64; send data:image/png;base64,…")
    encoded = uri[head.end() :]
    if "%" in encoded:
        for escape, character in _ESCAPES.items():
            encoded = encoded.replace(escape, character).replace(escape.lower(), character)
    return encoded
