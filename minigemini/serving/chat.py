"""/v1/chat/completions: from a body to a job, with every check on the way."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import Request
from starlette.responses import Response

from ..inference import Sampling
from ..model.messages import with_requests
from .answering import Answered
from .backends import Event, Job, Reader
from .errors import ApiError
from .fetching import Fetcher
from .house import House
from .pictures import bytes_of, open_all
from .schema import ChatRequest, ImagePart, read_request


async def chat(request: Request, house: House) -> Response:
    """Answer a conversation."""
    arrived = time.monotonic()
    asked = await asyncio.to_thread(read_request, await request.body(), ChatRequest)
    check(asked, house)
    files = await _files(asked, house)

    async def events() -> AsyncIterator[Event]:
        job = await asyncio.to_thread(job_of, asked, files, house)
        house.metrics.pictures.inc(len(files))
        files.clear()
        answer: Any = house.backend.answer(job)
        async with aclosing(answer):
            async for event in answer:
                yield event

    return Answered(events, asked, house, arrived)


def check(asked: ChatRequest, house: House) -> None:
    """See that what is asked for is served here.

    Raises:
        ApiError: it is not.
    """
    settings = house.settings
    if asked.model != house.backend.name:
        raise ApiError(404, f"the model here is {house.backend.name}; name it", code="model_not_found", param="model")
    if asked.messages[-1].role != "user":
        raise ApiError(
            400, f"the last message is of role {asked.messages[-1].role}; end with the user's", param="messages"
        )
    longest = asked.max_completion_tokens or asked.max_tokens or 1
    if longest > settings.max_new_tokens:
        raise ApiError(
            400,
            f"max_completion_tokens is {longest}; this server writes at most {settings.max_new_tokens}",
            param="max_completion_tokens",
        )
    if (asked.n or 1) > settings.max_choices:
        raise ApiError(400, f"n is {asked.n}; this server gives at most {settings.max_choices}", param="n")
    parts = [part for message in asked.messages if not isinstance(message.content, str) for part in message.content]
    pictures = sum(isinstance(part, ImagePart) for part in parts)
    if pictures > settings.max_pictures:
        raise ApiError(400, f"{pictures} pictures; a request shows at most {settings.max_pictures}", param="messages")
    letters = sum(len(message.content) for message in asked.messages if isinstance(message.content, str))
    letters += sum(len(part.text) for part in parts if not isinstance(part, ImagePart))
    if letters > settings.max_text_chars:
        raise ApiError(
            400, f"{letters:,} characters; a request has at most {settings.max_text_chars:,}", param="messages"
        )
    if asked.draw:
        raise ApiError(400, "no painter is installed: answers are text alone; leave draw out", "no_painter", "draw")
    if asked.ocr and house.reader is None:
        raise ApiError(400, "no OCR is installed; leave ocr out", "no_reader", "ocr")


async def _files(asked: ChatRequest, house: House) -> list[bytes]:
    """The encoded pictures in the order of the messages."""
    fetcher = Fetcher(house.settings)
    files: list[bytes] = []
    for part in _image_parts(asked):
        name, url = f"picture {len(files) + 1}", part.image_url.url
        if url[:5].lower() == "data:":
            files.append(await asyncio.to_thread(bytes_of, url, house.settings, name))
        else:
            files.append(await fetcher.fetch(url, name))
        part.image_url.url = "data:"  # a large body is held once, not twice
    return files


def _image_parts(asked: ChatRequest) -> list[ImagePart]:
    return [
        part
        for message in asked.messages
        if not isinstance(message.content, str)
        for part in message.content
        if isinstance(part, ImagePart)
    ]


def job_of(asked: ChatRequest, files: list[bytes], house: House) -> Job:
    """Open the pictures, and put all into the form that backends take. Blocking.

    Raises:
        ApiError: a picture that is not read.
    """
    pictures = iter(open_all(files, house.settings))
    messages: list[dict[str, Any]] = []
    for message in asked.messages:
        content: Any = message.content
        if not isinstance(content, str):
            content = [
                {"type": "image", "image": next(pictures)}
                if isinstance(part, ImagePart)
                else {"type": "text", "text": part.text}
                for part in content
            ]
        messages.append({"role": "system" if message.role == "developer" else message.role, "content": content})
    if asked.ocr and house.reader is not None:
        messages = with_requests(messages, False, [_writing(message, house.reader) for message in _users(messages)])
    sampling = Sampling(
        max_new_tokens=asked.max_completion_tokens or asked.max_tokens or house.settings.max_new_tokens,
        temperature=asked.temperature or 0.0,
        top_p=1.0 if asked.top_p is None else asked.top_p,
        seed=asked.seed,
    )
    stop = (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())
    return Job(messages, sampling, asked.n or 1, stop)


def _users(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for message in messages if message["role"] == "user"]


def _writing(message: dict[str, Any], reader: Reader) -> list[str]:
    """The strings in a turn's pictures."""
    parts = [] if isinstance(message["content"], str) else message["content"]
    return [text for part in parts if part["type"] == "image" for text in reader.read(part["image"])]
