"""/v1/chat/completions: from a body to a job, with every check on the way."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from fastapi import Request
from starlette.responses import Response

from ..imagegen.captions import with_captions
from ..images.decoders import Stop
from ..inference import Sampling
from .api_errors import ApiError
from .backends import ChatJob, Event
from .chat_response import ChatResponder
from .image_parts import bytes_of, in_thread, open_all
from .image_urls import Fetcher
from .protocol import AssistantMessage, ChatMessage, ChatRequest, ImagePart, read_request
from .state import ServerState


async def chat(request: Request, state: ServerState) -> Response:
    """Answer a conversation."""
    arrived = time.monotonic()
    asked = await asyncio.to_thread(read_request, await request.body(), ChatRequest, state.settings.max_text_chars)
    check(asked, state)
    files = await _files(asked, state)

    async def events() -> AsyncIterator[Event]:
        job = await in_thread(lambda stop: job_of(asked, files, state, stop))
        state.metrics.images.inc(len(files))
        files.clear()
        answer: Any = state.pipeline.answer(job)
        async with aclosing(answer):
            async for event in answer:
                yield event

    return ChatResponder(events, asked, state, arrived)


def check(asked: ChatRequest, state: ServerState) -> None:
    """See that what is asked for is served here.

    Raises:
        ApiError: it is not.
    """
    settings = state.settings
    if asked.model != state.backend.name:
        raise ApiError(404, f"the model here is {state.backend.name}; name it", code="model_not_found", param="model")
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
    images = len(_image_parts(asked))
    if images > settings.max_images:
        raise ApiError(400, f"{images} pictures; a request shows at most {settings.max_images}", param="messages")
    letters = sum(len(_text_of(message)) for message in asked.messages)
    if letters > settings.max_text_chars:
        raise ApiError(
            400, f"{letters:,} characters; a request has at most {settings.max_text_chars:,}", param="messages"
        )
    if asked.draw and state.image_generator is None:
        why = "this server has no painter, answers are text alone (it is started with --painter); leave draw out"
        raise ApiError(400, why, "no_painter", "draw")
    if asked.ocr and state.reader is None:
        raise ApiError(400, "this server does no OCR (it is started with --ocr); leave ocr out", "no_reader", "ocr")


async def _files(asked: ChatRequest, state: ServerState) -> list[bytes]:
    """The encoded pictures in the order of the messages."""
    fetcher = Fetcher(state.settings)
    files: list[bytes] = []
    for part in _image_parts(asked):
        name, url = f"picture {len(files) + 1}", part.image_url.url
        if url[:5].lower() == "data:":
            files.append(await asyncio.to_thread(bytes_of, url, state.settings, name))
        else:
            files.append(await fetcher.fetch(url, name))
        part.image_url.url = "data:"  # a large body is held once, not twice
    return files


def _images_of(message: ChatMessage) -> list[ImagePart]:
    """Those that a user shows, or that were drawn in an answer."""
    if isinstance(message, AssistantMessage):
        return message.images or []
    return [] if isinstance(message.content, str) else [p for p in message.content if isinstance(p, ImagePart)]


def _image_parts(asked: ChatRequest) -> list[ImagePart]:
    return [part for message in asked.messages for part in _images_of(message)]


def _text_of(message: ChatMessage) -> str:
    """The text of a message, with the captions that were taken out of it."""
    text = message.content
    if not isinstance(text, str):
        text = "".join(part.text for part in text if not isinstance(part, ImagePart))
    if isinstance(message, AssistantMessage) and message.drawing is not None:
        return with_captions(text, message.drawing.captions)
    return text


def job_of(asked: ChatRequest, files: list[bytes], state: ServerState, stop: Stop | None = None) -> ChatJob:
    """Open the pictures, and put all into the form that backends take. Blocking.

    A picture that was drawn is shown with the question after it, and the user turn before it asked for one, as in
    `inference.Conversation`.

    Raises:
        ApiError: a picture that is not read.
        DecodingStoppedError: `stop` was set.
    """
    opened = iter(open_all(files, state.settings, stop))
    messages: list[dict[str, Any]] = []
    draws: list[bool] = []
    shown: list[dict[str, Any]] = []
    for message in asked.messages:
        shown += [{"type": "image", "image": next(opened)} for _ in _images_of(message)]
        content: Any = _text_of(message)
        if message.role == "user":
            if shown:
                content, shown = [*shown, {"type": "text", "text": content}], []
            draws.append(False)
        elif message.role == "assistant" and message.drawing is not None and draws:
            draws[-1] = True
        messages.append({"role": "system" if message.role == "developer" else message.role, "content": content})
    draws[-1] = bool(asked.draw)
    sampling = Sampling(
        max_new_tokens=asked.max_completion_tokens or asked.max_tokens or state.settings.max_new_tokens,
        temperature=asked.temperature or 0.0,
        top_p=1.0 if asked.top_p is None else asked.top_p,
        seed=asked.seed,
    )
    stop_strings = (asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ())
    return ChatJob(messages, sampling, asked.n or 1, stop_strings, tuple(draws), bool(asked.ocr))
