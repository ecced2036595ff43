"""From what Gradio's chat holds to a job, and from its events to what the chat shows next."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...imagegen.captions import with_captions
from ...images.decoders import Stop
from ...inference import Sampling
from ..api_errors import ApiError
from ..backends import CaptionsEvent, ChatJob, ImageEvent, TextDelta
from ..chat_pipeline import ChatPipeline
from ..image_parts import open_all
from ..server_settings import ServerSettings

DRAWING, DRAWN, UNDRAWN = "Drawing", "Drawn from", "Not drawn"
"""Titles of the note with the captions that the chat shows beside an answer, one of them a line."""
REFUSED = "Not answered"
"""Title of the note that says why; what it stands behind is no part of the conversation."""
NO_CAPTION = "(no caption)"


@dataclass
class ChatTurn:
    """What one side said, in one go."""

    role: str
    files: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    captions: list[str] | None = None
    """Of an answer to a request for a picture."""
    refused: bool = False
    """Of an answer: there is none, and the question before it is left out of what follows."""

    @property
    def text(self) -> str:
        """All of its text."""
        return "\n".join(self.texts)


def job_of(
    message: dict[str, Any] | str,
    history: Sequence[dict[str, Any]],
    sampling: Sampling,
    settings: ServerSettings,
    uploads: Path,
    draw: bool = False,
    ocr: bool = False,
    stop: Stop | None = None,
) -> ChatJob:
    """The question with all that was said, shown and drawn before. Blocking: it opens the pictures.

    Args:
        message: `{"text": …, "files": […]}`, each file a path, or `{"path": …}` where an answer is asked for
            again; the text alone where it was edited.
        history: Gradio's messages, whose content is a list of texts and files.
        sampling: how the answer is drawn.
        settings: the limits on pictures.
        uploads: the folder that all pictures lie in.
        draw: ask for a picture.
        ocr: have the writing in pictures read.
        stop: ends the decoding of pictures.

    Raises:
        ApiError: a picture that is not read.
        DecodingStoppedError: `stop` was set.
    """
    asked = {"text": message, "files": []} if isinstance(message, str) else message
    content = [*({"type": "file", "file": {"path": _path(file)}} for file in asked["files"]), asked["text"]]
    # Joined to what stands before it: an edited question comes without the pictures of its turn, which are still there.
    spoken = _answered(turns([*history, {"role": "user", "content": content}]))
    _check_size(spoken, settings)
    files = [read_upload(path, uploads) for turn in spoken for path in turn.files]
    opened = iter(open_all(files, settings, stop))
    messages: list[dict[str, Any]] = []
    draws: list[bool] = []
    shown: list[dict[str, Any]] = []  # what is drawn is shown with the next question
    for turn in spoken:
        shown += [{"type": "image", "image": next(opened)} for _ in turn.files]
        parts: list[dict[str, Any]] = [{"type": "text", "text": with_captions(turn.text, turn.captions or [])}]
        if turn.role == "user":
            parts, shown = [*shown, *parts], []
            draws.append(False)
        elif turn.captions is not None and draws:
            draws[-1] = True
        messages.append({"role": turn.role, "content": parts})
    draws[-1] = draw
    return ChatJob(messages, sampling, draws=tuple(draws), ocr=ocr)


def turns(history: Sequence[dict[str, Any]]) -> Iterator[ChatTurn]:
    """The turns: Gradio has a message for each picture, one for the text and one for a note."""
    turn = ChatTurn("")
    for message in history:
        if turn.role and message["role"] != turn.role:
            yield turn
            turn = ChatTurn("")
        turn.role = message["role"]
        content = message["content"]
        title = (message.get("metadata") or {}).get("title")
        turn.refused = turn.refused or title == REFUSED
        for part in [content] if isinstance(content, str | dict) else content:
            if not isinstance(part, str) and "file" in part:
                turn.files.append(_path(part["file"]))
                continue
            text = part if isinstance(part, str) else str(part.get("text", ""))
            if not title:
                turn.texts.append(text)
            elif title != REFUSED:
                turn.captions = [] if text == NO_CAPTION else text.split("\n")
    if turn.role:
        yield turn


def _answered(spoken: Iterator[ChatTurn]) -> list[ChatTurn]:
    """The turns without questions that were refused."""
    kept: list[ChatTurn] = []
    for turn in spoken:
        if turn.refused:
            del kept[-1:]
        else:
            kept.append(turn)
    return kept


def _check_size(spoken: Sequence[ChatTurn], settings: ServerSettings) -> None:
    images, letters = sum(len(turn.files) for turn in spoken), sum(len(turn.text) for turn in spoken)
    if images > settings.max_images:
        raise ApiError(400, f"{images} pictures; a conversation shows at most {settings.max_images}: begin a new one")
    if letters > settings.max_text_chars:
        raise ApiError(
            400, f"{letters:,} characters; a conversation has at most {settings.max_text_chars:,}: begin a new one"
        )


def _path(file: Any) -> str:
    return file if isinstance(file, str) else str(file["path"])


def read_upload(path: str, uploads: Path) -> bytes:
    """A picture that was uploaded; a page may be sent any path. Raises `ApiError`."""
    file = Path(path).resolve()
    if not file.is_relative_to(uploads.resolve()) or not file.is_file():
        raise ApiError(400, "a picture is not here any more; show it again, in a new chat")
    return file.read_bytes()


Shown = str | list[dict[str, Any]]
"""An answer so far: its text, and Gradio's messages once there is more than text."""


async def said(pipeline: ChatPipeline, job: ChatJob, keep: Callable[[bytes], Path]) -> AsyncIterator[Shown]:
    """The answer so far, each time there is more.

    Args:
        studio: answers.
        job: what is asked.
        keep: writes a picture that was drawn, as PNG, and says where.
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
                    yield [*_spoken(text), _note(captions, {"title": DRAWING, "status": "pending"})]
                case ImageEvent(png=b""):
                    how = {"title": UNDRAWN, "log": event.reason}
                    yield [*_spoken(text), _note(captions, how)]
                case ImageEvent():
                    image = {"path": str(keep(event.png)), "alt_text": captions[-1]}
                    note = _note(captions, {"title": DRAWN})
                    yield [*_spoken(text), note, {"role": "assistant", "content": image}]


def _spoken(text: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": text}] if text else []


def _note(captions: Sequence[str], how: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": "\n".join(captions) or NO_CAPTION, "metadata": how}


def with_refusal(shown: Shown, reason: str) -> Shown:
    """What is shown of an answer that failed, and why."""
    spoken = shown if isinstance(shown, list) else _spoken(shown)
    return [*spoken, {"role": "assistant", "content": reason, "metadata": {"title": REFUSED}}]
