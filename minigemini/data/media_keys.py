"""Finds the images and videos that a record names, and unsupported media: such a record must not be trained on as text.

Images are named under `image` or `images`, or in content parts as in OpenAI's API: `{"type": "image_url", "image_url":
{"url": ...}}`, `{"type": "image", "image": ...}`; videos likewise under `video` or `videos`, or in parts `video_url` or
`video`. Each is named by a path or a data URI.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

IMAGE_KEYS = ("image", "images")
VIDEO_KEYS = ("video", "videos")
IMAGE_PARTS = ("image", "image_url")
VIDEO_PARTS = ("video", "video_url")
OTHER_PARTS = ("audio", "audio_url", "input_audio", "file")
"""Types of content parts with unsupported media."""
_NON_MEDIA_KEYS = frozenset(
    {*IMAGE_KEYS, *VIDEO_KEYS, "id", "source", "origin", "licence", "license", "conversations", "messages"}
)
_LOCATION = r"(?:_?(?:path|file|filename|name|url|uri|list|data|bytes|base64)s?)?"
_IMAGE_KEY = re.compile(rf"(?:image|img|picture|photo|pic)s?{_LOCATION}", re.IGNORECASE)
_OTHER_KEY = re.compile(rf"(?:video|audio)s?{_LOCATION}", re.IGNORECASE)
_MEDIA_VALUE = re.compile(
    r"data:(?:image|video|audio)/|\S.*\.(?:jpe?g|png|webp|gif|bmp|tiff?|mp4|webm|avi|mov|mkv|wav|mp3|flac|ogg)(?:\?\S*)?$",
    re.IGNORECASE,
)
_OTHER_TAG = re.compile(r"\A\s*<(video|audio)>|<(video|audio)>\s*\Z")
_DATA_URI = re.compile(r"data:[^,;]*(?:;[^,;]*)*;base64,", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def media_under(record: Mapping[str, Any], keys: Sequence[str]) -> list[Any]:
    """List the files under keys of a record: paths, data URIs or bytes.

    Raises:
        ValueError: A value is neither a path nor a list of paths, or two keys name different files.
    """
    named = {key: record[key] for key in keys if record.get(key)}
    for key, value in named.items():
        if not isinstance(value, str | bytes | Mapping | list):
            raise ValueError(f"{key} is {value!r}, expected a path or a list of paths")
    lists = [[_unwrap(one) for one in (value if isinstance(value, list) else [value])] for value in named.values()]
    if len(lists) > 1 and lists[0] != lists[1]:
        raise ValueError(f"{' and '.join(named)} name different {keys[-1]}: keep one of them")
    return lists[0] if lists else []


def _unwrap(image: Any) -> Any:
    """Bytes or path of an image as `datasets` stores it, `{"bytes", "path"}`; others unchanged."""
    return (image.get("bytes") or image.get("path")) if isinstance(image, Mapping) else image


def media_in(part: Mapping[str, Any]) -> Any:
    """Path, URL or data URI of an image or video part; None if the part is only a placeholder."""
    kind = "video" if part["type"] in VIDEO_PARTS else "image"
    for key in (kind, f"{kind}_url", "url", "path"):
        value = part.get(key)
        if isinstance(value, Mapping):
            value = value.get("bytes") or value.get("url") or value.get("path")
        if value:
            return value
    return None


def image_count(record: Any) -> int:
    """Count the images that a record of any form names, and each video as one; cheap, and never raises."""
    if not isinstance(record, Mapping):
        return 0
    return _count(record, IMAGE_KEYS, IMAGE_PARTS) + _count(record, VIDEO_KEYS, VIDEO_PARTS)


def _count(record: Mapping[str, Any], keys: Sequence[str], part_types: Sequence[str]) -> int:
    under: Any = next((record[key] for key in keys if record.get(key)), [])
    listed = under if isinstance(under, list) else [under]
    parts = (part for _, content in _turns(record) if isinstance(content, list) for part in content)
    named = [media_in(part) for part in parts if isinstance(part, Mapping) and part.get("type") in part_types]
    inside = sum(name is not None for name in named)
    return inside if named == listed else inside + len(listed)


def unsupported_media(record: Mapping[str, Any], has_images: bool, has_videos: bool = False) -> str | None:
    """Describe media in a record that is not supported; None if there is none.

    Args:
        record: the record, searched by its keys and turns.
        has_images: whether images of the record are read; other keys may then describe them.
        has_videos: whether videos of the record are read, likewise.
    """
    for key, value in record.items():
        if key in _NON_MEDIA_KEYS or not isinstance(value, str | list | Mapping) or not value:
            continue
        if _OTHER_KEY.fullmatch(str(key)):
            if str(key).lower().startswith("audio"):
                return f"{key} is {shown(value)}: audio is not supported, only images and videos are"
            if not has_videos:
                return f"{key} is {shown(value)}: name videos under {' or '.join(VIDEO_KEYS)}"
        elif not (has_images or has_videos) and (_IMAGE_KEY.fullmatch(str(key)) or names_media(value)):
            return f"{key} is {shown(value)}: name images under {' or '.join(IMAGE_KEYS)}"
    for number, (role, content) in enumerate(_turns(record), 1):
        if role in ("human", "user") and isinstance(content, str):
            found = _OTHER_TAG.search(content)
            name = (found[1] or found[2]) if found else ""
            if found and not (name == "video" and has_videos) and f"</{name}>" not in content:  # not about HTML
                reason = "no video is named" if name == "video" else "only images and videos are supported"
                return f"turn {number} has <{name}>: {reason}"
    return None


def is_media_key(key: str) -> bool:
    """Whether a key or column has a name for media that is not supported."""
    return key not in IMAGE_KEYS and (_IMAGE_KEY.fullmatch(key) or _OTHER_KEY.fullmatch(key)) is not None


def decode_data_uri(reference: str) -> bytes | None:
    """Bytes of a data URI; None if the reference is not one.

    Raises:
        ValueError: The base64 is invalid.
    """
    found = _DATA_URI.match(reference)
    if found is None:
        return None
    packed = "".join(reference[found.end() :].split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"data URI with invalid base64 ({error})") from None


def is_url(reference: str) -> bool:
    """Whether a reference would have to be downloaded."""
    return _URL.match(reference) is not None


def _turns(record: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield speaker and content of each well-formed turn."""
    for key, speaker, text in (("conversations", "from", "value"), ("messages", "role", "content")):
        turns = record.get(key)
        for turn in turns if isinstance(turns, Sequence) else ():
            if isinstance(turn, Mapping):
                yield turn.get(speaker), turn.get(text)


def names_media(value: Any) -> bool:
    """Whether a value looks like a media file: a path, a URL, a data URI, or an object or list with one."""
    if isinstance(value, Mapping):
        value = value.get("path") or value.get("url") or value.get("bytes")
    if isinstance(value, list):
        return bool(value) and names_media(value[0])
    return isinstance(value, str) and _MEDIA_VALUE.match(value[:4096]) is not None


def shown(value: Any) -> str:
    """A value as part of a message."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
