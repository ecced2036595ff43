"""From a validated chat request to its `ChatJob`: the server's limits, images, videos, messages in Transformers' form.

All chat routes come through here: each translates its own request into a `ChatRequest`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from ..imagegen.captions import with_captions
from ..images.decoders import Stop
from ..inference import Sampling
from ..inference.prompts import NO_TOOLS
from .api_errors import ApiError, model_not_found
from .backends import NO_VIDEOS, ChatJob, Event
from .image_urls import ImageFetcher, decode_data_uri, open_media, run_stoppable
from .protocol import (
    AssistantMessage,
    ChatMessage,
    ChatRequest,
    GenerationRequest,
    ImagePart,
    JsonSchemaFormat,
    TextPart,
    Tool,
    ToolMessage,
    VideoPart,
)
from .state import ServerState

StartEvents = Callable[[], AsyncIterator[Event]]
"""Starts the work of a request; called once it has a slot."""


async def prepare(request: ChatRequest, state: ServerState) -> StartEvents:
    """Check a request, fetch its images and videos, and return what starts its work.

    Raises:
        ApiError: 404 for another model, 400 for anything else.
    """
    check_request(request, state)
    if _uses_tools(request) and not (await state.pipeline.capabilities()).tools:
        raise ApiError(400, NO_TOOLS, "no_tools", "tools")
    if any(_are_videos(request)) and not (await state.pipeline.capabilities()).videos:
        raise ApiError(400, NO_VIDEOS, "no_videos", "messages")
    files = await _load_media(request, state)

    async def events() -> AsyncIterator[Event]:
        job = await run_stoppable(lambda stop: build_job(request, files, state, stop))
        state.metrics.images.inc(len(files))
        files.clear()
        answer: Any = state.pipeline.answer(job)
        async with aclosing(answer):
            async for event in answer:
                yield event

    return events


def check_request(request: ChatRequest, state: ServerState) -> None:
    """Check a request against the server's limits and capabilities.

    Raises:
        ApiError: 404 for another model, 400 for anything else.
    """
    settings = state.settings
    check_generation(request, state)
    _check_last_message(request)
    videos = sum(_are_videos(request))
    images = len(_media_parts(request)) - videos
    for kind, count, most in (("images", images, settings.max_images), ("videos", videos, settings.max_videos)):
        if count > most:
            raise ApiError(400, f"{count} {kind} in the request; use at most {most}", param="messages")
    chars = sum(len(_text_of(message)) for message in request.messages)
    check_length(chars + _tool_chars(request), state, "messages")
    if request.draw and state.image_generator is None:
        message = "this server has no image generator (option --generator); leave out draw to get a text answer"
        raise ApiError(400, message, "no_image_generator", "draw")
    if request.ocr and state.ocr_engine is None:
        raise ApiError(400, "this server has no OCR (option --ocr); leave out ocr", "no_reader", "ocr")


def check_generation(request: GenerationRequest, state: ServerState) -> None:
    """Check what all generation requests have: the model, and the number and length of answers.

    Raises:
        ApiError: 404 for another model, 400 for anything else.
    """
    settings = state.settings
    if request.model != state.backend.name:
        raise model_not_found(request.model, state.backend.name)
    if (request.length or 1) > settings.max_new_tokens:
        message = f"{request.LENGTH} is {request.length}; this server generates at most {settings.max_new_tokens}"
        raise ApiError(400, message, param=request.LENGTH)
    if (request.n or 1) > settings.max_choices:
        raise ApiError(400, f"n is {request.n}; this server returns at most {settings.max_choices} choices", param="n")


def check_length(chars: int, state: ServerState, param: str) -> None:
    """Check the number of characters in a request. Raises `ApiError`."""
    most = state.settings.max_text_chars
    if chars > most:
        raise ApiError(400, f"{chars:,} characters in the request; use at most {most:,}", param=param)


def _check_last_message(request: ChatRequest) -> None:
    continues, last = bool(request.continue_final_message), request.messages[-1]
    if request.add_generation_prompt is not None and request.add_generation_prompt is continues:
        raise ApiError(
            400,
            "add_generation_prompt and continue_final_message must differ: either begin an answer or continue one",
            param="add_generation_prompt",
        )
    if continues:
        if not isinstance(last, AssistantMessage) or last.images or last.drawing:
            message = "continue_final_message needs a last message of role 'assistant' with text alone"
            raise ApiError(400, message, param="messages")
    elif last.role not in ("user", "tool"):
        message = f"the last message has role {last.role!r}; end with a user message"
        if last.role == "assistant":
            message += ", or set continue_final_message to have it continued"
        raise ApiError(400, message, param="messages")


async def _load_media(request: ChatRequest, state: ServerState) -> list[bytes]:
    """Return the encoded images and videos in the order of the messages."""
    fetcher = ImageFetcher(state.settings)
    files: list[bytes] = []
    images = videos = 0
    for part in _media_parts(request):
        if isinstance(part, VideoPart):
            videos, url = videos + 1, part.video_url.url
            files.append(await asyncio.to_thread(decode_data_uri, url, state.settings, f"video {videos}", "video"))
            part.video_url.url = "data:"  # as below
            continue
        images, url = images + 1, part.image_url.url
        name = f"image {images}"
        if url[:5].lower() == "data:":
            files.append(await asyncio.to_thread(decode_data_uri, url, state.settings, name))
        else:
            files.append(await fetcher.fetch(url, name))
        part.image_url.url = "data:"  # free the encoded copy of a large image
    return files


def _media_of(message: ChatMessage) -> list[ImagePart | VideoPart]:
    """Return the images and videos of a user message, or the images generated for an assistant message."""
    if isinstance(message, AssistantMessage):
        return [*(message.images or [])]
    return [] if isinstance(message.content, str) else [p for p in message.content if not isinstance(p, TextPart)]


def _media_parts(request: ChatRequest) -> list[ImagePart | VideoPart]:
    return [part for message in request.messages for part in _media_of(message)]


def _are_videos(request: ChatRequest) -> list[bool]:
    return [isinstance(part, VideoPart) for part in _media_parts(request)]


def _text_of(message: ChatMessage) -> str:
    """Return the text of a message, with the captions that the response had moved to `drawing`."""
    text = message.content or ""
    if not isinstance(text, str):
        text = "".join(part.text for part in text if isinstance(part, TextPart))
    if isinstance(message, AssistantMessage) and message.drawing is not None:
        return with_captions(text, message.drawing.captions)
    return text


def build_job(request: ChatRequest, files: list[bytes], state: ServerState, stop: Stop | None = None) -> ChatJob:
    """Decode the images and videos and build the job. Blocking.

    As in `inference.Conversation`, a generated image is shown with the next question, and the user turn before it is
    marked as requesting an image.

    Raises:
        ApiError: 400 if an image or a video cannot be decoded.
        DecodingStoppedError: `stop` was set.
    """
    media = iter(open_media(files, _are_videos(request), state.settings, stop))
    messages: list[dict[str, Any]] = []
    draws: list[bool] = []
    pending: list[dict[str, Any]] = []
    for message in request.messages:
        pending += [next(media) for _ in _media_of(message)]
        content: Any = _text_of(message)
        if message.role == "user":
            if pending:
                content, pending = [*pending, {"type": "text", "text": content}], []
            draws.append(False)
        elif message.role == "assistant" and message.drawing is not None and draws:
            draws[-1] = True
        role = "system" if message.role == "developer" else message.role
        messages.append({"role": role, "content": content, **_tool_fields(message)})
    if draws:
        draws[-1] = bool(request.draw)
    return ChatJob(
        messages,
        sampling_of(request, state),
        request.n or 1,
        request.stop_strings,
        tuple(draws),
        state.pipeline.ocr_by_default if request.ocr is None else request.ocr,
        continue_final_message=bool(request.continue_final_message),
        tools=tuple(tool.model_dump(exclude_none=True) for tool in _offered_tools(request)),
    )


def _offered_tools(request: ChatRequest) -> list[Tool]:
    return [] if request.tool_choice == "none" else request.tools or []


def _uses_tools(request: ChatRequest) -> bool:
    return bool(_offered_tools(request)) or any(
        isinstance(message, ToolMessage) or (isinstance(message, AssistantMessage) and message.tool_calls)
        for message in request.messages
    )


def _tool_chars(request: ChatRequest) -> int:
    """Return the characters that tools and their calls add to the prompt, about."""
    calls = [
        call.function.arguments
        for message in request.messages
        if isinstance(message, AssistantMessage)
        for call in message.tool_calls or ()
    ]
    return sum(map(len, calls)) + sum(len(tool.model_dump_json()) for tool in _offered_tools(request))


def _tool_fields(message: ChatMessage) -> dict[str, Any]:
    """Return what chat templates read of tool calls and results; the arguments as an object, not as text."""
    if isinstance(message, ToolMessage):
        return {"tool_call_id": message.tool_call_id}
    if not isinstance(message, AssistantMessage) or not message.tool_calls:
        return {}
    calls = [call.model_dump() for call in message.tool_calls]
    for call in calls:
        try:
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        except (ValueError, RecursionError):
            raise ApiError(400, "the arguments of a tool call are not JSON", param="messages") from None
    return {"tool_calls": calls}


def sampling_of(request: GenerationRequest, state: ServerState) -> Sampling:
    """Return the sampling settings of a request."""
    return Sampling(
        max_new_tokens=request.length or state.settings.max_new_tokens,
        temperature=request.temperature or 0.0,
        top_p=1.0 if request.top_p is None else request.top_p,
        seed=request.seed,
        top_k=max(request.top_k or 0, 0),
        min_p=request.min_p or 0.0,
        repetition_penalty=1.0 if request.repetition_penalty is None else request.repetition_penalty,
        json_schema=_json_schema(request),
    )


def _json_schema(request: GenerationRequest) -> str | None:
    format = request.response_format
    if format is None or format.type == "text":
        return None
    schema: Any = format.json_schema.schema_ if isinstance(format, JsonSchemaFormat) else {"type": "object"}
    return json.dumps(schema, ensure_ascii=False)
