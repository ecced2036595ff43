"""Where a record names its images, and what in it is media that nobody reads: such a record must not be learnt as text.

Images stand under `image` or `images`, or in the parts of a turn, as OpenAI's API has them: `{"type": "image_url",
"image_url": {"url": …}}`, `{"type": "image", "image": …}`. What they name is a path or a data URI.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

IMAGE_KEYS = ("image", "images")
IMAGE_PARTS = ("image", "image_url")
OTHER_PARTS = ("video", "video_url", "audio", "audio_url", "input_audio", "file")
"""Parts of a turn that hold media of another kind."""
_NO_MEDIA = frozenset({*IMAGE_KEYS, "id", "source", "origin", "licence", "license", "conversations", "messages"})
_PLACE = r"(?:_?(?:path|file|filename|name|url|uri|list|data|bytes|base64)s?)?"
_IMAGE_KEY = re.compile(rf"(?:image|img|picture|photo|pic)s?{_PLACE}", re.IGNORECASE)
_OTHER_KEY = re.compile(rf"(?:video|audio)s?{_PLACE}", re.IGNORECASE)
_MEDIA_VALUE = re.compile(
    r"data:(?:image|video|audio)/|\S.*\.(?:jpe?g|png|webp|gif|bmp|tiff?|mp4|webm|avi|mov|mkv|wav|mp3|flac|ogg)(?:\?\S*)?$",
    re.IGNORECASE,
)
_OTHER_TAG = re.compile(r"\A\s*<(video|audio)>|<(video|audio)>\s*\Z")
_DATA_URI = re.compile(r"data:[^,;]*(?:;[^,;]*)*;base64,", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def images_under(record: Mapping[str, Any]) -> list[Any]:
    """What a record's own keys name, as they name it.

    Raises:
        ValueError: It is neither a path nor a list of paths, or two keys name different images.
    """
    named = {key: record[key] for key in IMAGE_KEYS if record.get(key)}
    for key, value in named.items():
        if not isinstance(value, str | list):
            raise ValueError(f"{key} is {value!r}: a path or a list of paths")
    lists = [[value] if isinstance(value, str) else value for value in named.values()]
    if len(lists) > 1 and lists[0] != lists[1]:
        raise ValueError(f"{' and '.join(named)} name different images: keep one of them")
    return lists[0] if lists else []


def image_in(part: Mapping[str, Any]) -> Any:
    """What an image part names: a path, a URL or a data URI; None where it only says that an image stands there."""
    for key in ("image", "image_url", "url", "path"):
        value = part.get(key)
        if isinstance(value, Mapping):
            value = value.get("url") or value.get("path")
        if value:
            return value
    return None


def image_count(record: Any) -> int:
    """How many images a record names, of whatever form; cheap, and never an error."""
    if not isinstance(record, Mapping):
        return 0
    under: Any = next((record[key] for key in IMAGE_KEYS if record.get(key)), [])
    listed = under if isinstance(under, list) else [under]
    parts = (part for _, content in _turns(record) if isinstance(content, list) for part in content)
    named = [image_in(part) for part in parts if isinstance(part, Mapping) and part.get("type") in IMAGE_PARTS]
    inside = sum(name is not None for name in named)
    return inside if named == listed else inside + len(listed)


def unread(record: Mapping[str, Any], has_images: bool) -> str | None:
    """Why something in a record is media that is not read; None if nothing is.

    Args:
        record: whose keys and turns are looked at.
        has_images: images of it are read; other keys may then say where these come from.
    """
    for key, value in record.items():
        if key in _NO_MEDIA or not isinstance(value, str | list | Mapping) or not value:
            continue
        if _OTHER_KEY.fullmatch(str(key)):
            return f"{key} is {_shown(value)}: only images are read"
        if not has_images and (_IMAGE_KEY.fullmatch(str(key)) or _names_media(value)):
            return f"{key} is {_shown(value)}: images are read under {' or '.join(IMAGE_KEYS)}"
    for number, (role, content) in enumerate(_turns(record), 1):
        if role in ("human", "user") and isinstance(content, str):
            found = _OTHER_TAG.search(content)
            name = (found[1] or found[2]) if found else ""
            if found and f"</{name}>" not in content:  # else it is a text about HTML
                return f"turn {number} has <{name}>: only images are read"
    return None


def is_media_key(key: str) -> bool:
    """Whether a key, or a column, is called as if it held media that are not read."""
    return key not in IMAGE_KEYS and (_IMAGE_KEY.fullmatch(key) or _OTHER_KEY.fullmatch(key)) is not None


def decoded(reference: str) -> bytes | None:
    """The bytes of a data URI; None if it is none.

    Raises:
        ValueError: Its base64 is broken.
    """
    found = _DATA_URI.match(reference)
    if found is None:
        return None
    packed = "".join(reference[found.end() :].split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"a data URI whose base64 is broken ({error})") from None


def is_url(reference: str) -> bool:
    """Whether it would have to be fetched."""
    return _URL.match(reference) is not None


def _turns(record: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Who speaks, and what, of every turn that is one."""
    for key, speaker, said in (("conversations", "from", "value"), ("messages", "role", "content")):
        turns = record.get(key)
        for turn in turns if isinstance(turns, Sequence) else ():
            if isinstance(turn, Mapping):
                yield turn.get(speaker), turn.get(said)


def _names_media(value: Any) -> bool:
    if isinstance(value, Mapping):
        value = value.get("path") or value.get("url") or value.get("bytes")
    if isinstance(value, list):
        return bool(value) and _names_media(value[0])
    return isinstance(value, str) and _MEDIA_VALUE.match(value[:4096]) is not None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
