"""Recognizes the forms of records that people have, and converts each to the form that `schema.from_published` reads.

| form | recognized by |
|---|---|
| LLaVA, ShareGPT | `conversations`, with `image`, `images` and `system` |
| OpenAI, TRL | `messages`, with `image_url` parts or `images` |
| TRL's prompt and completion | `prompt` and `completion`, lists of messages or texts |
| The Cauldron | `texts`, a list of `user` and `assistant` |
| question and answer | a pair of `PAIRS`, with an image or without |
| caption | `image` or `file_name`, and one of `CAPTIONS` |
| Label Studio | `data` and `annotations` |

A record is recognized by its keys alone, and only if one form fits. An image or a video that no text refers to is shown
in the first question; LLaVA's and ShareGPT's texts have tags for their images, so there it stays an error.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import label_studio, media_keys
from .schema import IMAGE_TAG, VIDEO_TAG, Sample, SampleError, SampleIssue, from_published

PAIRS = (
    *(("question", "answer"), ("question", "answers"), ("prompt", "completion"), ("prompt", "response")),
    *(("instruction", "output"), ("instruction", "response"), ("query", "response"), ("query", "label")),
)
"""Columns of a question and its answer."""
CAPTIONS = ("caption", "text")
"""Columns of a caption. A record with an image and no question is a caption."""
CAPTION_QUESTION, VIDEO_CAPTION_QUESTION = "Describe the image.", "Describe the video."
"""What a caption of an image and of a video answers."""
FILE_NAMES = ("file_name", "file_names")
"""Columns that name an image in the metadata of a folder of images, as `datasets` reads it."""
_EXPECTED = (
    "conversations; messages; prompt and completion; question and answer; an image with a caption; "
    "data and annotations of Label Studio"
)


def read_record(record: Any, source: str, image_root: Path | None, row: int) -> Sample:
    """Convert a record of any known form to a sample.

    Args:
        record: the parsed record.
        source: name of its source.
        image_root: folder that the paths of images are relative to.
        row: position in its file, from which a missing id is made.

    Raises:
        SampleError: No form fits, or the record is invalid.
    """
    if not isinstance(record, Mapping):
        return from_published(record, source, image_root)  # raises
    given = record.get("id")
    identified = {**record, "id": f"row-{row}" if given is None or given == "" else given}
    try:
        return from_published(to_published(identified), source, image_root)
    except SampleError as error:
        raise error.of(str(identified["id"])[:200], source) from None


def count_images(record: Any) -> int:
    """Count the images of a record of any form; cheap, and never raises."""
    try:
        return media_keys.image_count(to_published(record) if isinstance(record, Mapping) else record)
    except SampleError:
        return media_keys.image_count(record)


def to_published(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Convert a record to `conversations` or `messages` with `images`; other keys stay.

    Raises:
        SampleError: No form fits, or several do.
    """
    record = _name_images({key: value for key, value in record.items() if value is not None})
    if isinstance(record.get("conversations"), list):
        return _share_gpt(record)
    if isinstance(record.get("messages"), list):
        return _with_messages(record, record.pop("messages"))
    if isinstance(record.get("data"), Mapping) and "annotations" in record:
        record = label_studio.flatten(record)
    if {"prompt", "completion"} <= record.keys() and isinstance(record["prompt"], list):
        completion = record.pop("completion")
        answer = completion if isinstance(completion, list) else [{"role": "assistant", "content": completion}]
        return _with_messages(record, [*record.pop("prompt"), *answer])
    if isinstance(record.get("texts"), list):
        return _with_messages(record, [turn for pair in record.pop("texts") for turn in _exchange(pair)])
    return _columns(record)


def _share_gpt(record: dict[str, Any]) -> Mapping[str, Any]:
    turns = record["conversations"]
    if turns and isinstance(turns[0], Mapping) and {"role", "content"} <= turns[0].keys():
        del record["conversations"]
        return _with_messages(record, turns)
    system = record.pop("system", None)
    return {**record, "conversations": [{"from": "system", "value": system}, *turns]} if system else record


def _columns(record: dict[str, Any]) -> Mapping[str, Any]:
    """Convert a record whose question and answer are columns."""
    found = [pair for pair in PAIRS if set(pair) <= record.keys()]
    answers = [key for key in CAPTIONS if key in record]
    if len(found) == 1:
        question, answer = found[0]
        context = str(record.pop("input", "")) if question == "instruction" else ""
        text = "\n".join(filter(None, (_text(record, question), context)))
    elif not found and len(answers) == 1 and (_has_image(record) or _has_video(record)):
        answer, text = answers[0], CAPTION_QUESTION if _has_image(record) else VIDEO_CAPTION_QUESTION
    else:
        raise SampleError(SampleIssue.MALFORMED, _unrecognized(record, found or [(key,) for key in answers]))
    turns = _exchange({"user": text, "assistant": _text(record, answer)})
    used = {answer, *(found[0] if found else ())}
    return _with_messages({key: value for key, value in record.items() if key not in used}, turns)


def _text(record: Mapping[str, Any], key: str) -> str:
    """The text of a column; a list counts if all of it is the same, as the answers of several people may be."""
    value = record[key]
    if isinstance(value, list) and value and all(one == value[0] for one in value):
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise SampleError(SampleIssue.MALFORMED, f"{key} is {media_keys.shown(value)}, expected one text")
    return str(value)


def _exchange(pair: Any) -> list[dict[str, Any]]:
    if not isinstance(pair, Mapping):
        raise SampleError(SampleIssue.MALFORMED, "texts must be a list of objects with user and assistant")
    return [{"role": role, "content": pair.get(role)} for role in ("user", "assistant")]


def _with_messages(record: dict[str, Any], messages: list[Any]) -> dict[str, Any]:
    """Join messages and images: numbered parts get theirs, and images without a place go before the first text."""
    turns = [_as_chat(turn) for turn in messages]
    record, images = _take_images(record)
    parts = [part for turn in turns for part in _parts(turn) if part.get("type") in media_keys.IMAGE_PARTS]
    numbers = [part.get("index") for part in parts]
    if (
        images
        and all(isinstance(n, int) and 0 <= n < len(images) for n in numbers)
        and len(set(numbers)) == len(images)
    ):
        images = [images[number] for number in numbers if number is not None]
    elif images and not parts and not any(_has_tag(turn, IMAGE_TAG) for turn in turns):
        _show_first(turns, "image", len(images))
    videos = _media_under(record, media_keys.VIDEO_KEYS)
    has_place = any(part.get("type") in media_keys.VIDEO_PARTS for turn in turns for part in _parts(turn))
    if videos and not has_place and not any(_has_tag(turn, *_video_tags(images)) for turn in turns):
        _show_first(turns, "video", len(videos))
    return {**record, "messages": turns, "images": images}


def _video_tags(images: list[Any]) -> tuple[str, ...]:
    """Tags that stand for a video; see `schema`."""
    return (VIDEO_TAG,) if images else (VIDEO_TAG, IMAGE_TAG)


def _show_first(turns: list[Any], kind: str, count: int) -> None:
    """Put images or videos before the first question."""
    first = next((turn for turn in turns if isinstance(turn, dict) and turn.get("role") == "user"), None)
    if first is not None:
        content = first.get("content")
        text = [{"type": "text", "text": content}] if isinstance(content, str) and content.strip() else content
        first["content"] = [{"type": kind}] * count + (text if isinstance(text, list) else [])


def _as_chat(turn: Any) -> Any:
    """Copy a turn; OpenAI calls the system's role developer for some models."""
    if not isinstance(turn, Mapping):
        return turn
    return {**turn, "role": "system"} if turn.get("role") == "developer" else dict(turn)


def _parts(turn: Any) -> list[Mapping[str, Any]]:
    content = turn.get("content") if isinstance(turn, Mapping) else None
    return [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []


def _has_tag(turn: Any, *tags: str) -> bool:
    if not isinstance(turn, Mapping):
        return False
    texts = [turn.get("content"), *(part.get("text") for part in _parts(turn))]
    return any(isinstance(text, str) and tag in text for text in texts for tag in tags)


def _name_images(record: dict[str, Any]) -> dict[str, Any]:
    """Name images under `images` if only a column of a folder's metadata names them."""
    names = next((record[key] for key in FILE_NAMES if media_keys.names_media(record.get(key))), None)
    if names is None or any(record.get(key) for key in media_keys.IMAGE_KEYS):
        return record
    return {**record, "images": names if isinstance(names, list) else [names]}


def _take_images(record: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Split a record into the rest and its images."""
    images = _media_under(record, media_keys.IMAGE_KEYS)
    return {key: value for key, value in record.items() if key not in media_keys.IMAGE_KEYS}, images


def _media_under(record: Mapping[str, Any], keys: tuple[str, ...]) -> list[Any]:
    try:
        return media_keys.media_under(record, keys)
    except ValueError as error:
        raise SampleError(SampleIssue.MALFORMED, str(error)) from None


def _has_image(record: Mapping[str, Any]) -> bool:
    return any(record.get(key) for key in media_keys.IMAGE_KEYS)


def _has_video(record: Mapping[str, Any]) -> bool:
    return any(record.get(key) for key in media_keys.VIDEO_KEYS)


def _unrecognized(record: Mapping[str, Any], fitting: list[Any]) -> str:
    """Say what was recognized and what is missing."""
    if reason := media_keys.unsupported_media(record, has_images=False, has_videos=_has_video(record)):
        raise SampleError(SampleIssue.UNREAD_MEDIA, reason)
    if len(fitting) > 1:
        shown = " or ".join(" and ".join(keys) for keys in fitting)
        return f"{shown} could be question and answer: keep one of them"
    missing = {partner for pair in PAIRS for key, partner in (pair, pair[::-1]) if key in record}
    if present := sorted({key for pair in PAIRS for key in pair if key in record}):
        return f"{', '.join(present)} without {' or '.join(sorted(missing))}: give both"
    if fitting:
        return f"{fitting[0][0]} without an image: name it under image, images or file_name, or give a question"
    if _has_image(record):
        return f"an image without a text: give {' or '.join(CAPTIONS)}, question and answer, or conversations"
    keys = ", ".join(map(str, list(record)[:12])) or "none"
    return f"keys {keys[:200]}: no known form; expected {_EXPECTED}"
