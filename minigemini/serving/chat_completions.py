"""/v1/chat/completions: validate the request, build a `ChatJob`, and send its events as a response or a stream."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from ..imagegen.captions import with_captions
from ..images.decoders import Stop
from ..inference import Sampling
from .api_errors import ApiError, DisconnectError, internal_error, model_not_found
from .backends import CaptionsEvent, ChatJob, ChoiceEnd, Event, ImageEvent, TextDelta, Usage
from .image_urls import ImageFetcher, decode_data_uri, encode_data_uri, open_media, run_stoppable
from .json_body import read_request
from .protocol import (
    AssistantMessage,
    ChatMessage,
    ChatRequest,
    ChatResponse,
    Choice,
    DrawingNote,
    FinishReason,
    ImagePart,
    MessageWithImages,
    ResponseImagePart,
    ResponseImageUrl,
    ResponseMessage,
    TextPart,
    TokenUsage,
    VideoPart,
    error_responses,
    request_body,
    stream_chunk,
)
from .request_queue import RequestTask, TaskResponse
from .state import ServerState

STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # keeps nginx from buffering the stream
]
STREAM_DESCRIPTION = (
    "The response, complete or as a stream. With `draw`, the deltas before the end of a choice have `images` and "
    "`drawing`, as the message of a complete response has."
)


def add_route(app: FastAPI, state: ServerState) -> None:
    """Add the route to the application."""
    responses = {**error_responses(), 200: {"description": STREAM_DESCRIPTION, "content": {"text/event-stream": {}}}}

    @app.post(
        "/v1/chat/completions",
        response_model=ChatResponse,
        responses=responses,
        openapi_extra=request_body(ChatRequest),
    )
    async def chat_completions(request: Request) -> ChatTaskResponse:
        """Answer a conversation about images and videos."""
        arrived = time.monotonic()
        body = await request.body()
        chat_request = await asyncio.to_thread(read_request, body, ChatRequest, state.settings.max_text_chars)
        check_request(chat_request, state)
        files = await _load_media(chat_request, state)

        async def events() -> AsyncIterator[Event]:
            job = await run_stoppable(lambda stop: build_job(chat_request, files, state, stop))
            state.metrics.images.inc(len(files))
            files.clear()
            answer: Any = state.pipeline.answer(job)
            async with aclosing(answer):
                async for event in answer:
                    yield event

        return ChatTaskResponse(events, chat_request, state, arrived)


def check_request(request: ChatRequest, state: ServerState) -> None:
    """Check a request against the server's limits and capabilities.

    Raises:
        ApiError: 404 for another model, 400 for anything else.
    """
    settings = state.settings
    if request.model != state.backend.name:
        raise model_not_found(request.model, state.backend.name)
    if request.messages[-1].role != "user":
        raise ApiError(
            400, f"the last message has role {request.messages[-1].role!r}; end with a user message", param="messages"
        )
    max_tokens = request.max_completion_tokens or request.max_tokens or 1
    if max_tokens > settings.max_new_tokens:
        raise ApiError(
            400,
            f"max_completion_tokens is {max_tokens}; this server generates at most {settings.max_new_tokens}",
            param="max_completion_tokens",
        )
    if (request.n or 1) > settings.max_choices:
        raise ApiError(400, f"n is {request.n}; this server returns at most {settings.max_choices} choices", param="n")
    videos = sum(_are_videos(request))
    images = len(_media_parts(request)) - videos
    for kind, count, most in (("images", images, settings.max_images), ("videos", videos, settings.max_videos)):
        if count > most:
            raise ApiError(400, f"{count} {kind} in the request; use at most {most}", param="messages")
    chars = sum(len(_text_of(message)) for message in request.messages)
    if chars > settings.max_text_chars:
        raise ApiError(
            400, f"{chars:,} characters in the request; use at most {settings.max_text_chars:,}", param="messages"
        )
    if request.draw and state.image_generator is None:
        message = "this server has no image generator (option --painter); leave out draw to get a text answer"
        raise ApiError(400, message, "no_painter", "draw")
    if request.ocr and state.ocr_engine is None:
        raise ApiError(400, "this server has no OCR (option --ocr); leave out ocr", "no_reader", "ocr")


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
    text = message.content
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
        messages.append({"role": "system" if message.role == "developer" else message.role, "content": content})
    draws[-1] = bool(request.draw)
    ocr = state.pipeline.ocr_by_default if request.ocr is None else request.ocr
    sampling = Sampling(
        max_new_tokens=request.max_completion_tokens or request.max_tokens or state.settings.max_new_tokens,
        temperature=request.temperature or 0.0,
        top_p=1.0 if request.top_p is None else request.top_p,
        seed=request.seed,
    )
    stop_strings = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    return ChatJob(messages, sampling, request.n or 1, stop_strings, tuple(draws), ocr)


class ChatTaskResponse(TaskResponse):
    """Sends the events of a chat request, as one JSON document or as server-sent events.

    Args:
        events: starts the work; called once the request has a slot.
        request: the validated request.
        state: the server's state.
        arrived: arrival time, by `time.monotonic`.
    """

    def __init__(
        self, events: Callable[[], AsyncIterator[Event]], request: ChatRequest, state: ServerState, arrived: float
    ) -> None:
        super().__init__(events, state, param="messages")
        self._request, self._arrived = request, arrived
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": request.model,
        }

    async def send_events(self, task: RequestTask, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, complete or streamed."""
        # Send nothing before the first event: until then an error can still set the status.
        first = await self.next_event(task)
        if first is not None:
            self._state.metrics.first_token.observe(time.monotonic() - self._arrived)
        if self._request.stream:
            await self._stream(first, task, send)
        else:
            await (await self._collect(first, task))(scope, receive, send)

    async def _collect(self, event: Event | None, task: RequestTask) -> JSONResponse:
        choices = [_ChoiceBuilder() for _ in range(self._request.n or 1)]
        usage = Usage(0, 0)
        while event is not None:
            match event:
                case TextDelta(index, text):
                    choices[index].texts.append(text)
                case CaptionsEvent(index, captions):
                    choices[index].captions = captions
                case ImageEvent(index):
                    choices[index].image = event
                case ChoiceEnd(index, reason):
                    choices[index].reason = reason
                case Usage():
                    usage = event
            event = await self.next_event(task)
        return await asyncio.to_thread(self._json_response, choices, usage)  # encoding images takes time

    def _json_response(self, builders: "list[_ChoiceBuilder]", usage: Usage) -> JSONResponse:
        choices = [
            Choice(index=index, message=builder.message(), finish_reason=builder.reason)
            for index, builder in enumerate(builders)
        ]
        return JSONResponse(ChatResponse(**self._head, choices=choices, usage=_token_usage(usage)).model_dump())

    async def _stream(self, event: Event | None, task: RequestTask, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
        try:
            for index in range(self._request.n or 1):
                await _send_data(send, self._chunk(index, {"role": "assistant", "content": ""}))
            while event is not None:
                match event:
                    case TextDelta(index, text):
                        await _send_data(send, self._chunk(index, {"content": text}))
                    case CaptionsEvent(index, captions):
                        await _send_data(send, self._chunk(index, {"drawing": {"captions": captions}}))
                    case ImageEvent(index):
                        await _send_data(send, self._chunk(index, await asyncio.to_thread(_image_delta, event)))
                    case ChoiceEnd(index, reason):
                        await _send_data(send, self._chunk(index, {}, reason))
                    case Usage() if self._include_usage:
                        usage = {"choices": [], "usage": _token_usage(event).model_dump()}
                        await _send_data(send, {**self._head, "object": "chat.completion.chunk", **usage})
                event = await self.next_event(task)
            await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
        except DisconnectError:
            raise
        except Exception as error:
            # The status has been sent, so the client gets an error event; RequestMiddleware logs internal errors.
            api_error = error if isinstance(error, ApiError) else internal_error()
            await _send_data(send, api_error.envelope(), more=False)
            if api_error is not error:
                raise

    @property
    def _include_usage(self) -> bool:
        return bool(self._request.stream_options and self._request.stream_options.include_usage)

    def _chunk(self, index: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        data = stream_chunk(self._head, index, delta, reason)
        return {**data, "usage": None} if self._include_usage else data


@dataclass
class _ChoiceBuilder:
    """Collects the events of one choice."""

    texts: list[str] = field(default_factory=list)
    captions: tuple[str, ...] = ()
    image: ImageEvent | None = None
    reason: FinishReason = "stop"

    def message(self) -> ResponseMessage:
        content, image = "".join(self.texts), self.image
        if image is None:
            return ResponseMessage(content=content)
        note = DrawingNote(captions=list(self.captions), seed=image.seed, reason=image.reason)
        return MessageWithImages(content=content, images=_response_images(image), drawing=note)


def _response_images(image: ImageEvent) -> list[ResponseImagePart]:
    return [ResponseImagePart(image_url=ResponseImageUrl(url=encode_data_uri(image.png)))] if image.png else []


def _image_delta(image: ImageEvent) -> dict[str, Any]:
    """Return the delta of an image; merged with the earlier captions it equals the fields of a complete message."""
    images = [part.model_dump() for part in _response_images(image)]
    return {"images": images, "drawing": {"seed": image.seed, "reason": image.reason}}


async def _send_data(send: Send, data: dict[str, Any], more: bool = True) -> None:
    body = f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
    await send({"type": "http.response.body", "body": body, "more_body": more})


def _token_usage(usage: Usage) -> TokenUsage:
    total = usage.prompt_tokens + usage.completion_tokens
    return TokenUsage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens, total_tokens=total)
