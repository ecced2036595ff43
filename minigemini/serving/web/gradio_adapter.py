"""Convert between Gradio's chat and the pipeline: history to a `ChatJob`, events to chat messages."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...imagegen.captions import with_captions
from ...images.decoders import Stop
from ...images.video import is_video_path
from ...inference import Sampling
from ..api_errors import ApiError
from ..backends import CaptionsEvent, ChatJob, ImageEvent, TextDelta
from ..chat_pipeline import ChatPipeline
from ..image_urls import open_media
from ..server_settings import ServerSettings

GENERATING, GENERATED, NOT_GENERATED = "Generating image", "Image generated from", "No image"
"""Titles of the note with the captions, one per line, next to an answer."""
FAILED = "Error"
"""Title of an error note; the failed question and its answer are excluded from the conversation."""
NO_CAPTION = "(no caption)"

ChatContent = str | list[dict[str, Any]]
"""An answer so far: its text, or Gradio messages if it has more than text."""


@dataclass
class ChatTurn:
    """Consecutive messages of one role."""

    role: str
    files: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    captions: list[str] | None = None
    """The captions of an answer to an image request."""
    failed: bool = False
    """Whether an answer failed; the question before it is excluded as well."""

    @property
    def text(self) -> str:
        """The whole text."""
        return "\n".join(self.texts)


def build_job(
    message: dict[str, Any] | str,
    history: Sequence[dict[str, Any]],
    sampling: Sampling,
    settings: ServerSettings,
    uploads: Path,
    draw: bool = False,
    ocr: bool = False,
    stop: Stop | None = None,
) -> ChatJob:
    """Build the job of a question and its history. Blocking: it decodes images and videos.

    Args:
        message: `{"text": …, "files": […]}` with paths, or with `{"path": …}` after Retry; only the text after Edit.
        history: Gradio's messages, whose content is a list of texts and files.
        sampling: sampling settings of the answer.
        settings: limits on text and images.
        uploads: the folder that contains all images and videos.
        draw: request an image.
        ocr: run OCR on the images.
        stop: stops image decoding.

    Raises:
        ApiError: 400 if an image or a video cannot be decoded or the conversation exceeds a limit.
        DecodingStoppedError: `stop` was set.
    """
    turns = _without_failures(chat_turns([*history, question_message(message)]))
    _check_size(turns, settings)
    paths = [path for turn in turns for path in turn.files]
    files = [read_upload(path, uploads) for path in paths]
    media = iter(open_media(files, [is_video_path(path) for path in paths], settings, stop))
    messages: list[dict[str, Any]] = []
    draws: list[bool] = []
    pending: list[dict[str, Any]] = []  # a generated image is shown with the next question
    for turn in turns:
        pending += [next(media) for _ in turn.files]
        parts: list[dict[str, Any]] = [{"type": "text", "text": with_captions(turn.text, turn.captions or [])}]
        if turn.role == "user":
            parts, pending = [*pending, *parts], []
            draws.append(False)
        elif turn.captions is not None and draws:
            draws[-1] = True
        messages.append({"role": turn.role, "content": parts})
    draws[-1] = draw
    return ChatJob(messages, sampling, draws=tuple(draws), ocr=ocr)


def question_message(message: dict[str, Any] | str) -> dict[str, Any]:
    """Return a question as one of Gradio's messages.

    `chat_turns` joins it with the user messages before it: an edited question comes without its images, which are still
    in the history.
    """
    question = {"text": message, "files": []} if isinstance(message, str) else message
    content = [*({"type": "file", "file": {"path": _path(file)}} for file in question["files"]), question["text"]]
    return {"role": "user", "content": content}


def answer_messages(content: ChatContent) -> list[dict[str, Any]]:
    """Return an answer as Gradio's messages."""
    return content if isinstance(content, list) else _text_messages(content)


def chat_turns(history: Sequence[dict[str, Any]]) -> Iterator[ChatTurn]:
    """Group Gradio's messages into turns: it has one message per image, one for the text and one for a note."""
    turn = ChatTurn("")
    for message in history:
        if turn.role and message["role"] != turn.role:
            yield turn
            turn = ChatTurn("")
        turn.role = message["role"]
        content = message["content"]
        title = (message.get("metadata") or {}).get("title")
        turn.failed = turn.failed or title == FAILED
        for part in [content] if isinstance(content, str | dict) else content:
            if not isinstance(part, str) and "file" in part:
                turn.files.append(_path(part["file"]))
                continue
            text = part if isinstance(part, str) else str(part.get("text", ""))
            if not title:
                turn.texts.append(text)
            elif title != FAILED:
                turn.captions = [] if text == NO_CAPTION else text.split("\n")
    if turn.role:
        yield turn


def _without_failures(turns: Iterator[ChatTurn]) -> list[ChatTurn]:
    """Drop failed answers and their questions."""
    kept: list[ChatTurn] = []
    for turn in turns:
        if turn.failed:
            del kept[-1:]
        else:
            kept.append(turn)
    return kept


def _check_size(turns: Sequence[ChatTurn], settings: ServerSettings) -> None:
    videos = sum(is_video_path(file) for turn in turns for file in turn.files)
    images, chars = sum(len(turn.files) for turn in turns) - videos, sum(len(turn.text) for turn in turns)
    for kind, count, most in (("images", images, settings.max_images), ("videos", videos, settings.max_videos)):
        if count > most:
            raise ApiError(400, f"{count} {kind}; a conversation can have at most {most}, start a new one")
    if chars > settings.max_text_chars:
        raise ApiError(
            400, f"{chars:,} characters; a conversation can have at most {settings.max_text_chars:,}, start a new one"
        )


def _path(file: Any) -> str:
    return file if isinstance(file, str) else str(file["path"])


def read_upload(path: str, uploads: Path) -> bytes:
    """Return the bytes of an uploaded image or video.

    Raises:
        ApiError: 400 if the client names a file outside the folder, or one that has been deleted.
    """
    file = Path(path).resolve()
    if not file.is_relative_to(uploads.resolve()) or not file.is_file():
        raise ApiError(400, "an image of this conversation has been deleted; start a new chat and upload it again")
    return file.read_bytes()


async def render_answer(
    pipeline: ChatPipeline, job: ChatJob, write_image: Callable[[bytes], Path]
) -> AsyncIterator[ChatContent]:
    """Yield the answer so far after each event.

    Args:
        pipeline: answers the job.
        job: the question and its history.
        write_image: writes a generated image, a PNG, and returns its path.
    """
    text = ""
    captions: tuple[str, ...] = ()
    events: Any = pipeline.answer(job)
    async with aclosing(events):
        async for event in events:
            match event:
                case TextDelta():
                    text += event.text
                    yield text
                case CaptionsEvent():
                    captions = event.captions
                    yield [*_text_messages(text), _note(captions, {"title": GENERATING, "status": "pending"})]
                case ImageEvent(png=b""):
                    yield [*_text_messages(text), _note(captions, {"title": NOT_GENERATED, "log": event.reason})]
                case ImageEvent():
                    image = {"path": str(write_image(event.png)), "alt_text": captions[-1]}
                    note = _note(captions, {"title": GENERATED})
                    yield [*_text_messages(text), note, {"role": "assistant", "content": image}]


def with_error(content: ChatContent, reason: str) -> ChatContent:
    """Return the content of an answer that failed, followed by an error note."""
    return [*answer_messages(content), {"role": "assistant", "content": reason, "metadata": {"title": FAILED}}]


def _text_messages(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": text}] if text else []


def _note(captions: Sequence[str], metadata: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": "\n".join(captions) or NO_CAPTION, "metadata": metadata}
