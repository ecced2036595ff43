"""From what Gradio's chat holds to a job, and from its events to text that grows."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from ...inference import Sampling
from ..backends import Backend, Job, Piece
from ..errors import ApiError
from ..pictures import open_all
from ..settings import ServerSettings


def job_of(
    message: dict[str, Any] | str,
    history: Sequence[dict[str, Any]],
    sampling: Sampling,
    settings: ServerSettings,
    uploads: Path,
) -> Job:
    """The question with all that was said before. Blocking: it opens the pictures.

    Args:
        message: `{"text": …, "files": […]}`, each file a path, or `{"path": …}` where an answer is asked for
            again; the text alone where it was edited.
        history: Gradio's messages, whose content is a list of texts and files.
        sampling: how the answer is drawn.
        settings: the limits on pictures.
        uploads: the folder that all pictures lie in.

    Raises:
        ApiError: a picture that is not read.
    """
    asked = {"text": message, "files": []} if isinstance(message, str) else message
    content = [*({"type": "file", "file": {"path": _path(file)}} for file in asked["files"]), asked["text"]]
    # Joined to what stands before it: an edited question comes without the pictures of its turn, which are still there.
    spoken = list(turns([*history, {"role": "user", "content": content}]))
    pictures = iter(open_all([read_upload(path, uploads) for _, files, _ in spoken for path in files], settings))
    messages = [
        {
            "role": role,
            "content": [*({"type": "image", "image": next(pictures)} for _ in files), {"type": "text", "text": text}],
        }
        for role, files, text in spoken
    ]
    return Job(messages, sampling)


def turns(history: Sequence[dict[str, Any]]) -> Iterator[tuple[str, list[str], str]]:
    """Role, pictures and text of each turn: Gradio has a message for each picture and one for the text."""
    role = ""
    files: list[str] = []
    texts: list[str] = []
    for message in history:
        if role and message["role"] != role:
            yield role, files, "\n".join(texts)
            files, texts = [], []
        role = message["role"]
        content = message["content"]
        for part in [content] if isinstance(content, str | dict) else content:
            if isinstance(part, str):
                texts.append(part)
            elif part.get("type") == "text":
                texts.append(part["text"])
            elif "file" in part:
                files.append(_path(part["file"]))
    if role:
        yield role, files, "\n".join(texts)


def _path(file: Any) -> str:
    return file if isinstance(file, str) else str(file["path"])


def read_upload(path: str, uploads: Path) -> bytes:
    """A picture that was uploaded; a page may be sent any path. Raises `ApiError`."""
    file = Path(path).resolve()
    if not file.is_relative_to(uploads.resolve()) or not file.is_file():
        raise ApiError(400, "a picture is not here any more; show it again")
    return file.read_bytes()


async def said(backend: Backend, job: Job) -> AsyncIterator[str]:
    """The answer so far, each time there is more."""
    text = ""
    events: Any = backend.answer(job)
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Piece):
                text += event.text
                yield text
