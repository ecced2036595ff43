"""One sample: chat messages in Transformers' form, their pictures by reference, and where it comes from.

Two records describe one. The published one, of the paper's JSON files:

    {"id", "image": path or list or absent, "conversations": [{"from": "human" | "gpt", "value"}, …]}

with `<image>` in a human turn for each picture (`images` for `image`, `messages` with `role` and `content` for the
turns, and parts for a turn's text will do: `media`), and ours, of shards:

    {"id", "source", "messages": [{"role", "content": [{"type": "image"}, {"type": "text", "text"}]}, …], "images": […]}

and, where they are known, "origin" and "licence".

Both are checked alike and strictly: what is wrong has a name (`Fault`), so that faults can be counted, and a message
that says which sample it is and what is wrong with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from . import media_keys

IMAGE_TAG = "<image>"
_ROLES = {"human": "user", "gpt": "assistant"}


class SampleIssue(StrEnum):
    """What can be wrong with a sample; the names by which faults are counted."""

    NOT_JSON = "not JSON"
    MALFORMED = "malformed record"
    UNKNOWN_SPEAKER = "unknown speaker"
    ROLE_ORDER = "wrong order of roles"
    EMPTY_QUESTION = "empty question"
    EMPTY_ANSWER = "empty answer"
    DANGLING_TAG = "image tag without a picture"
    SURPLUS_IMAGE = "picture without an image tag"
    TAG_IN_ANSWER = "image tag in an answer"
    UNSAFE_PATH = "picture outside its folder"
    IMAGE = "unreadable picture"
    NO_FOLDER = "no folder of pictures given"
    UNREAD_MEDIA = "media that is not read"
    REFUSED = "refused by the chat template"
    NOT_A_CAPTION = "not one picture and its caption"
    TOO_LONG = "too long"
    NOTHING_TO_LEARN = "nothing to learn"


class SampleError(ValueError):
    """A sample that is not used.

    Attributes:
        fault: what kind of fault it is.
        id, source: which sample it is; of a record without an id, its row.
    """

    def __init__(self, issue: SampleIssue, detail: str, id: str = "", source: str = "") -> None:
        super().__init__(issue, detail, id, source)  # all arguments, so that it survives pickling between processes
        self.issue, self.detail, self.id, self.source = issue, detail, id, source

    def __str__(self) -> str:
        return f"{self.source}: sample {self.id!r}: {self.issue}: {self.detail}"

    def of(self, id: str, source: str) -> "SampleError":
        """The same fault of a sample whose name is known now."""
        return SampleError(self.issue, self.detail, self.id or id, self.source or source)


ImageInput = Path | bytes | Image.Image
"""Where a picture's file lies, the file's bytes, or a picture of our own making, which nobody needs to check."""


@dataclass(frozen=True)
class Sample:
    """One conversation.

    Attributes:
        id, source: its name, and that of what it comes from.
        messages: as chat templates take them; `{"type": "image"}` stands where a picture does.
        pictures: what stands there, in the order of the text.
        origin: the record that it was made of, `file#row`, where that is known.
        licence: under which it was published, where that is known.
    """

    id: str
    source: str
    messages: tuple[Mapping[str, Any], ...]
    images: tuple[ImageInput, ...] = ()
    origin: str = ""
    licence: str = ""


def from_published(record: Any, source: str, image_root: Path | None) -> Sample:
    """Check a record of the paper's JSON files and make a sample of it. Pictures lie under `image_root`.

    As the published models saw them, the pictures of a turn come before its text, which loses the space around it;
    turns without a picture stay as they are.

    Raises:
        SampleError: It is not such a record.
    """
    id = _id_of(record)
    try:
        if "messages" in record and "conversations" not in record:
            messages = [_tagged_turn(turn, n) for n, turn in enumerate(_list_of(record, "messages"), 1)]
        else:
            messages = [_published_turn(turn, n) for n, turn in enumerate(_list_of(record, "conversations"), 1)]
        return _with_images(id, source, record, messages, _images_under(record), image_root)
    except SampleError as error:
        raise error.of(id, source) from None


def from_record(record: Any, images: Sequence[Any], image_root: Path | None) -> Sample:
    """Check a record of ours and make a sample of it, with pictures as bytes or as paths under `image_root`.

    Raises:
        SampleError: It is not such a record.
    """
    id = _id_of(record)
    source = record.get("source")
    try:
        if not isinstance(source, str) or not source:
            raise SampleError(SampleIssue.MALFORMED, f"source is {source!r}: the name of what it comes from")
        messages = [_turn(message, n) for n, message in enumerate(_list_of(record, "messages"), 1)]
        if not images and (named := _images_under(record)):
            raise SampleError(SampleIssue.UNREAD_MEDIA, f"it names {len(named)} images, and none is in the shard")
        origin, licence = (str(record.get(name) or "") for name in ("origin", "licence"))
        sample = _with_images(id, source, record, messages, images, image_root)
        return replace(sample, origin=origin, licence=licence)
    except SampleError as error:
        raise error.of(id, str(source)) from None


def text_of(message: Mapping[str, Any]) -> str:
    """All text of a message."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def resolve(path: Any, root: Path | None) -> Path:
    """Where a picture lies. A record may come from anywhere, so its paths stay inside the folder of pictures.

    Raises:
        SampleError: It is no path, or one that leaves the folder.
    """
    if not isinstance(path, str) or not path:
        raise SampleError(SampleIssue.MALFORMED, f"a picture is {path!r}: a path or bytes")
    if root is None:
        raise SampleError(
            SampleIssue.NO_FOLDER, f"{path[:200]!r}: name the folder that the paths of pictures start from"
        )
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or "\0" in path:
        raise SampleError(SampleIssue.UNSAFE_PATH, f"{path!r}: paths are relative to the folder of pictures")
    return root / relative


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _id_of(record: Any) -> str:
    id = record.get("id") if isinstance(record, Mapping) else None
    if not isinstance(id, str | int) or isinstance(id, bool) or id == "":  # some published parts number their samples
        raise SampleError(SampleIssue.MALFORMED, "a record is an object with an id, a string or a number")
    return str(id)


def _list_of(record: Mapping[str, Any], name: str) -> list[Any]:
    turns = record.get(name)
    if not isinstance(turns, list) or not turns:
        raise SampleError(SampleIssue.MALFORMED, f"{name} is not a list of at least one turn")
    return turns


def _published_turn(turn: Any, number: int) -> Mapping[str, Any]:
    if not isinstance(turn, Mapping) or not isinstance(turn.get("value"), str | list):
        raise SampleError(SampleIssue.MALFORMED, f'turn {number} is not {{"from", "value"}} with a text')
    if turn.get("from") not in _ROLES:
        raise SampleError(SampleIssue.UNKNOWN_SPEAKER, f"turn {number} is from {turn.get('from')!r}: human or gpt")
    return _tagged_turn({"role": _ROLES[turn["from"]], "content": turn["value"]}, number)


def _tagged_turn(message: Any, number: int) -> Mapping[str, Any]:
    """A message whose text has a tag for each picture, which comes before it; parts have none."""
    message = _turn(message, number)
    if message["role"] != "user" or len(message["content"]) != 1:
        return message
    value = text_of(message)
    tags = value.count(IMAGE_TAG)
    if not tags:
        return message
    text = value.replace(IMAGE_TAG, "").strip()
    return {"role": "user", "content": [{"type": "image"}] * tags + [{"type": "text", "text": text}] * bool(text)}


def _turn(message: Any, number: int) -> Mapping[str, Any]:
    if not isinstance(message, Mapping) or not isinstance(message.get("content"), str | list):
        raise SampleError(SampleIssue.MALFORMED, f'message {number} is not {{"role", "content"}}')
    role, content = message.get("role"), message["content"]
    if role not in ("system", "user", "assistant"):
        raise SampleError(SampleIssue.UNKNOWN_SPEAKER, f"message {number} is from {role!r}: system, user or assistant")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return {"role": role, "content": [_part(part, number) for part in parts]}


def _part(part: Any, number: int) -> dict[str, Any]:
    """A text, or an image, with what it names where it names something."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if kind in media_keys.IMAGE_PARTS:
        named = media_keys.image_in(part)
        return {"type": "image"} | ({} if named is None else {"image": named})
    if kind in media_keys.OTHER_PARTS:
        raise SampleError(SampleIssue.UNREAD_MEDIA, f"message {number} has a part of type {kind}: only images are read")
    raise SampleError(SampleIssue.MALFORMED, f"message {number} has a part that is neither an image nor a text")


def _images_under(record: Mapping[str, Any]) -> list[Any]:
    try:
        return media_keys.images_under(record)
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
    """The sample of these messages: images that parts name stand there, those that are listed in the other places."""
    parts = [part for message in messages for part in message["content"] if part["type"] == "image"]
    named = [part.pop("image", None) for part in parts]
    rest = iter(() if list(listed) == named else listed)  # some records name them twice
    placed = [next(rest, None) if image is None else image for image in named]
    images = [_image(image, root) for image in (*placed, *rest) if image is not None]
    if reason := media_keys.unread(record, bool(images)):
        raise SampleError(SampleIssue.UNREAD_MEDIA, reason)
    return _checked(id, source, messages, images)


def _image(image: Any, root: Path | None) -> ImageInput:
    """What a record names, or holds.

    Raises:
        SampleError: It is none, or has to be fetched.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, str):
        try:
            data = media_keys.decoded(image)
        except ValueError as error:
            raise SampleError(SampleIssue.IMAGE, str(error)) from None
        if data is not None:
            return data
        if media_keys.is_url(image):
            raise SampleError(SampleIssue.UNREAD_MEDIA, f"{image[:200]!r} is a URL: fetch it, and name the file")
    return resolve(image, root)


def _checked(id: str, source: str, messages: list[Mapping[str, Any]], images: Sequence[ImageInput]) -> Sample:
    """Hold what both records have in common to the rules."""
    turns = messages[1:] if messages[0]["role"] == "system" else messages
    roles = [message["role"] for message in turns]
    if not roles or len(roles) % 2 or roles != ["user", "assistant"] * (len(roles) // 2):
        raise SampleError(
            SampleIssue.ROLE_ORDER, f"{', '.join(roles) or 'none'}: user and assistant take turns, in pairs"
        )
    for number, message in enumerate(messages, 1):
        shows_image = any(part["type"] == "image" for part in message["content"])
        if message["role"] != "user" and (shows_image or IMAGE_TAG in text_of(message)):
            raise SampleError(SampleIssue.TAG_IN_ANSWER, f"message {number} is the {message['role']}'s")
        if message["role"] == "user" and IMAGE_TAG in text_of(message):
            raise SampleError(SampleIssue.MALFORMED, f"message {number} has {IMAGE_TAG} in its text: give it as a part")
        if not _is_text(text_of(message)):
            raise SampleError(
                SampleIssue.MALFORMED, f"message {number} has half a surrogate pair, which no encoding writes"
            )
        if not shows_image and not text_of(message).strip():
            issue = SampleIssue.EMPTY_ANSWER if message["role"] == "assistant" else SampleIssue.EMPTY_QUESTION
            raise SampleError(issue, f"message {number}")
    tags = sum(part["type"] == "image" for part in chain.from_iterable(message["content"] for message in messages))
    if tags != len(images):
        issue = SampleIssue.DANGLING_TAG if tags > len(images) else SampleIssue.SURPLUS_IMAGE
        raise SampleError(issue, f"{tags} image tags, but {len(images)} pictures")
    return Sample(id, source, tuple(messages), tuple(images))
