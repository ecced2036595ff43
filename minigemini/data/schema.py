"""A sample: chat messages in Transformers' format, references to their images and videos, and provenance.

Samples are read from two record formats. The published one, of the paper's JSON files:

    {"id", "image": path or list or absent, "conversations": [{"from": "human" | "gpt", "value"}, …]}

with `<image>` in a human turn for each image, and the variants that `media_keys` accepts (`images` for `image`,
`messages` with `role` and `content` for the turns, content parts for text). `video` or `videos` name videos, for which
a human turn has `<video>`, or `<image>` in a record without images, as LLaVA-Video writes it. And the format of our
shards, which hold no videos:

    {"id", "source", "messages": [{"role", "content": [{"type": "image"}, {"type": "text", "text"}]}, …], "images": […]}

and, if known, "origin" and "licence".

Both are validated strictly. Each issue has a name (`SampleIssue`), so that issues can be counted, and a message that
says which sample is invalid and why.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from . import media_keys

IMAGE_TAG, VIDEO_TAG = "<image>", "<video>"
_ROLES = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant", "system": "system"}


class SampleIssue(StrEnum):
    """Issues of samples, by the names under which they are counted."""

    NOT_JSON = "not JSON"
    MALFORMED = "malformed record"
    UNKNOWN_SPEAKER = "unknown speaker"
    ROLE_ORDER = "wrong order of roles"
    EMPTY_QUESTION = "empty question"
    EMPTY_ANSWER = "empty answer"
    DANGLING_TAG = "image tag without a picture"
    SURPLUS_IMAGE = "picture without an image tag"
    VIDEO_TAGS = "videos and video tags differ"
    TAG_IN_ANSWER = "image tag in an answer"
    UNSAFE_PATH = "picture outside its folder"
    IMAGE = "unreadable picture"
    VIDEO = "unreadable video"
    NO_FOLDER = "no folder of pictures given"
    UNREAD_MEDIA = "media that is not read"
    REFUSED = "refused by the chat template"
    NOT_A_CAPTION = "not one picture and its caption"
    TOO_LONG = "too long"
    NOTHING_TO_LEARN = "nothing to learn"


class SampleError(ValueError):
    """A sample is invalid.

    Attributes:
        issue: kind of issue.
        detail: what exactly is wrong.
        id, source: the sample; a record without an id is named by its row.
    """

    def __init__(self, issue: SampleIssue, detail: str, id: str = "", source: str = "") -> None:
        super().__init__(issue, detail, id, source)  # all arguments, so that it can be pickled
        self.issue, self.detail, self.id, self.source = issue, detail, id, source

    def __str__(self) -> str:
        return f"{self.source}: sample {self.id!r}: {self.issue}: {self.detail}"

    def of(self, id: str, source: str) -> "SampleError":
        """Copy of the error with id and source, unless it has them."""
        return SampleError(self.issue, self.detail, self.id or id, self.source or source)


ImageInput = Path | bytes | Image.Image
"""Path of an image file, the bytes of one, or a generated image, which needs no validation."""
VideoInput = Path | bytes
"""Path of a video file, or the bytes of one."""


@dataclass(frozen=True)
class Sample:
    """One conversation.

    Attributes:
        id, source: name of the sample and of its source.
        messages: input of chat templates, with `{"type": "image"}` for each image, `{"type": "video"}` for each video.
        images: the images, in the order of the messages.
        videos: the videos, in the order of the messages.
        origin: record that it was made from, `file#row`; empty if unknown.
        licence: license under which it was published; empty if unknown.
    """

    id: str
    source: str
    messages: tuple[Mapping[str, Any], ...]
    images: tuple[ImageInput, ...] = ()
    origin: str = ""
    licence: str = ""
    videos: tuple[VideoInput, ...] = ()


def from_published(record: Any, source: str, image_root: Path | None) -> Sample:
    """Validate a record of the paper's JSON files and convert it to a sample.

    As in the training of the published models, the images of a turn come before its text, which is stripped; turns
    without an image are unchanged.

    Args:
        record: the parsed record.
        source: name of its source.
        image_root: folder that the paths of images are relative to.

    Raises:
        SampleError: The record is invalid.
    """
    id = _id_of(record)
    try:
        tags = _tags_of(record)
        if "messages" in record and "conversations" not in record:
            messages = [_tagged_turn(turn, n, tags) for n, turn in enumerate(_list_of(record, "messages"), 1)]
        else:
            messages = [_published_turn(turn, n, tags) for n, turn in enumerate(_list_of(record, "conversations"), 1)]
        return _with_images(id, source, record, messages, _images_under(record), image_root)
    except SampleError as error:
        raise error.of(id, source) from None


def from_record(record: Any, images: Sequence[Any], image_root: Path | None) -> Sample:
    """Validate a record of our shards and convert it to a sample.

    Args:
        record: the parsed record.
        images: its images, as bytes or as paths.
        image_root: folder that the paths are relative to.

    Raises:
        SampleError: The record is invalid.
    """
    id = _id_of(record)
    source = record.get("source")
    try:
        if not isinstance(source, str) or not source:
            raise SampleError(SampleIssue.MALFORMED, f"source is {source!r}, expected the name of the source")
        if key := next((key for key in media_keys.VIDEO_KEYS if record.get(key)), None):
            reason = f"{key} is {media_keys.shown(record[key])}: shards hold no videos"
            raise SampleError(SampleIssue.UNREAD_MEDIA, reason)
        messages = [_turn(message, n) for n, message in enumerate(_list_of(record, "messages"), 1)]
        if not images and (named := _images_under(record)):
            raise SampleError(SampleIssue.UNREAD_MEDIA, f"{len(named)} images are named, but none is in the shard")
        origin, licence = (str(record.get(name) or "") for name in ("origin", "licence"))
        sample = _with_images(id, source, record, messages, images, image_root)
        return replace(sample, origin=origin, licence=licence)
    except SampleError as error:
        raise error.of(id, str(source)) from None


def text_of(message: Mapping[str, Any]) -> str:
    """Text of a message, without its images."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def resolve(path: Any, root: Path | None) -> Path:
    """Resolve the path of an image. Records are untrusted, so paths must not leave the folder of images.

    Raises:
        SampleError: It is not a path, leaves the folder, or there is no folder.
    """
    if not isinstance(path, str) or not path:
        raise SampleError(SampleIssue.MALFORMED, f"an image is {path!r}, expected a path or bytes")
    if root is None:
        raise SampleError(SampleIssue.NO_FOLDER, f"{path[:200]!r}: give the folder that image paths are relative to")
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or "\0" in path:
        raise SampleError(SampleIssue.UNSAFE_PATH, f"{path!r}: image paths must be relative and stay in the folder")
    return root / relative


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _id_of(record: Any) -> str:
    id = record.get("id") if isinstance(record, Mapping) else None
    if not isinstance(id, str | int) or isinstance(id, bool) or id == "":  # some published sources use numbers as ids
        raise SampleError(SampleIssue.MALFORMED, "a record must be an object with an id, a string or an integer")
    return str(id)


def _list_of(record: Mapping[str, Any], name: str) -> list[Any]:
    turns = record.get(name)
    if not isinstance(turns, list) or not turns:
        raise SampleError(SampleIssue.MALFORMED, f"{name} must be a list of at least one turn")
    return turns


def _tags_of(record: Mapping[str, Any]) -> dict[str, str]:
    """The tags that stand for media in a record's texts, and the type of part of each."""
    if not _media_under(record, media_keys.VIDEO_KEYS):
        return {IMAGE_TAG: "image"}  # `<video>` is then text, e.g. about HTML
    turns = record.get("conversations") or record.get("messages")
    listed = turns if isinstance(turns, list) else ()
    texts = [turn.get("value", turn.get("content")) for turn in listed if isinstance(turn, Mapping)]
    if not _media_under(record, media_keys.IMAGE_KEYS) and not any(
        isinstance(text, str) and VIDEO_TAG in text for text in texts
    ):
        return {IMAGE_TAG: "video"}
    return {IMAGE_TAG: "image", VIDEO_TAG: "video"}


def _published_turn(turn: Any, number: int, tags: Mapping[str, str]) -> Mapping[str, Any]:
    if not isinstance(turn, Mapping) or not isinstance(turn.get("value"), str | list):
        raise SampleError(SampleIssue.MALFORMED, f'turn {number} must be {{"from", "value"}} with a text')
    if turn.get("from") not in _ROLES:
        raise SampleError(
            SampleIssue.UNKNOWN_SPEAKER, f"turn {number} is from {turn.get('from')!r}, expected human or gpt"
        )
    return _tagged_turn({"role": _ROLES[turn["from"]], "content": turn["value"]}, number, tags)


def _tagged_turn(message: Any, number: int, tags: Mapping[str, str]) -> Mapping[str, Any]:
    """Replace tags in a message's text with image and video parts before the text; content parts have no tags."""
    message = _turn(message, number)
    if message["role"] != "user" or len(message["content"]) != 1:
        return message
    value = text_of(message)
    pattern = re.compile("|".join(map(re.escape, tags)))
    media = [{"type": tags[tag]} for tag in pattern.findall(value)]
    if not media:
        return message
    text = pattern.sub("", value).strip()
    return {"role": "user", "content": [*media, *([{"type": "text", "text": text}] if text else [])]}


def _turn(message: Any, number: int) -> Mapping[str, Any]:
    if not isinstance(message, Mapping) or not isinstance(message.get("content"), str | list):
        raise SampleError(SampleIssue.MALFORMED, f'message {number} must be {{"role", "content"}}')
    role, content = message.get("role"), message["content"]
    if role not in ("system", "user", "assistant"):
        raise SampleError(
            SampleIssue.UNKNOWN_SPEAKER, f"message {number} is from {role!r}, expected system, user or assistant"
        )
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return {"role": role, "content": [_part(part, number) for part in parts]}


def _part(part: Any, number: int) -> dict[str, Any]:
    """Validate a part of text, image or video; the latter two keep the path or data URI that they name."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    for name, part_types in (("image", media_keys.IMAGE_PARTS), ("video", media_keys.VIDEO_PARTS)):
        if kind in part_types:
            named = media_keys.media_in(part)
            return {"type": name} | ({} if named is None else {name: named})
    if kind in media_keys.OTHER_PARTS:
        raise SampleError(
            SampleIssue.UNREAD_MEDIA,
            f"message {number} has a part of type {kind}: only images and videos are supported",
        )
    raise SampleError(SampleIssue.MALFORMED, f"message {number} has a part that is neither text, image nor video")


def _images_under(record: Mapping[str, Any]) -> list[Any]:
    return _media_under(record, media_keys.IMAGE_KEYS)


def _media_under(record: Mapping[str, Any], keys: Sequence[str]) -> list[Any]:
    try:
        return media_keys.media_under(record, keys)
    except ValueError as error:
        raise SampleError(SampleIssue.MALFORMED, str(error)) from None


def _with_images(
    id: str,
    source: str,
    record: Mapping[str, Any],
    messages: list[Mapping[str, Any]],
    listed: Sequence[Any],
    root: Path | None,
) -> Sample:
    """Build a sample; media that parts name stays in place, listed media fills the other parts in order."""
    images = [_file(image, root, SampleIssue.IMAGE) for image in _placed("image", messages, listed)]
    videos = _placed("video", messages, _media_under(record, media_keys.VIDEO_KEYS))
    if reason := media_keys.unsupported_media(record, bool(images), bool(videos)):
        raise SampleError(SampleIssue.UNREAD_MEDIA, reason)
    return _checked(id, source, messages, images, [_file(video, root, SampleIssue.VIDEO) for video in videos])


def _placed(kind: str, messages: Sequence[Mapping[str, Any]], listed: Sequence[Any]) -> list[Any]:
    """Files of one kind in the order of their parts, which lose the names that they have; surplus ones follow."""
    parts = [part for message in messages for part in message["content"] if part["type"] == kind]
    named = [part.pop(kind, None) for part in parts]
    rest = iter(() if list(listed) == named else listed)  # some records name them in both ways
    placed = [next(rest, None) if file is None else file for file in named]
    return [file for file in (*placed, *rest) if file is not None]


def _file(file: Any, root: Path | None, issue: SampleIssue) -> Path | bytes:
    """Resolve an image or a video to bytes or a path; `issue` is that of an invalid data URI.

    Raises:
        SampleError: It is neither, or a URL.
    """
    if isinstance(file, bytes):
        return file
    if isinstance(file, str):
        try:
            data = media_keys.decode_data_uri(file)
        except ValueError as error:
            raise SampleError(issue, str(error)) from None
        if data is not None:
            return data
        if media_keys.is_url(file):
            raise SampleError(SampleIssue.UNREAD_MEDIA, f"{file[:200]!r} is a URL: download it and name the file")
    return resolve(file, root)


def _checked(
    id: str,
    source: str,
    messages: list[Mapping[str, Any]],
    images: Sequence[ImageInput],
    videos: Sequence[VideoInput],
) -> Sample:
    """Apply the rules that both record formats share."""
    turns = messages[1:] if messages[0]["role"] == "system" else messages
    roles = [message["role"] for message in turns]
    if not roles or len(roles) % 2 or roles != ["user", "assistant"] * (len(roles) // 2):
        raise SampleError(
            SampleIssue.ROLE_ORDER, f"{', '.join(roles) or 'none'}: user and assistant must alternate, in pairs"
        )
    for number, message in enumerate(messages, 1):
        shows_image = any(part["type"] != "text" for part in message["content"])
        if message["role"] != "user" and (shows_image or IMAGE_TAG in text_of(message)):
            raise SampleError(SampleIssue.TAG_IN_ANSWER, f"message {number} is from {message['role']}")
        if message["role"] == "user" and IMAGE_TAG in text_of(message):
            raise SampleError(
                SampleIssue.MALFORMED, f"message {number} has {IMAGE_TAG} in its text: give an image part instead"
            )
        if not _is_text(text_of(message)):
            raise SampleError(
                SampleIssue.MALFORMED, f"message {number} has a lone surrogate, which UTF-8 cannot encode"
            )
        if not shows_image and not text_of(message).strip():
            issue = SampleIssue.EMPTY_ANSWER if message["role"] == "assistant" else SampleIssue.EMPTY_QUESTION
            raise SampleError(issue, f"message {number} has no text")
    kinds = [part["type"] for part in chain.from_iterable(message["content"] for message in messages)]
    if kinds.count("video") != len(videos):
        raise SampleError(SampleIssue.VIDEO_TAGS, f"{kinds.count('video')} video tags, but {len(videos)} videos")
    tags = kinds.count("image")
    if tags != len(images):
        issue = SampleIssue.DANGLING_TAG if tags > len(images) else SampleIssue.SURPLUS_IMAGE
        raise SampleError(issue, f"{tags} image tags, but {len(images)} images")
    return Sample(id, source, tuple(messages), tuple(images), videos=tuple(videos))
