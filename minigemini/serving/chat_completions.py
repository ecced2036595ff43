"""/v1/chat/completions: OpenAI's chat completions, with images and videos in questions, and images in answers."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request

from ..inference.tool_calls import ToolCall
from .backends import CaptionsEvent, ChoiceEnd, Event, ImageEvent, TextDelta, ToolCallsEvent, Usage
from .chat_jobs import StartEvents, prepare
from .event_response import CompleteChoice, EventResponse, sse, token_usage
from .image_urls import encode_data_uri
from .json_body import read_request
from .protocol import (
    CalledFunction,
    ChatRequest,
    ChatResponse,
    Choice,
    DrawingNote,
    MessageWithImages,
    MessageWithToolCalls,
    ResponseImagePart,
    ResponseImageUrl,
    ResponseMessage,
    ToolCallItem,
    error_responses,
    request_body,
    stream_chunk,
)
from .state import ServerState

STREAM_DESCRIPTION = (
    "The response, complete or as a stream. With `draw`, the deltas before the end of a choice have `images` and "
    "`drawing`, as the message of a complete response has."
)


def add_routes(app: FastAPI, state: ServerState) -> None:
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
        return ChatTaskResponse(await prepare(chat_request, state), chat_request, state, arrived)


class ChatTaskResponse(EventResponse):
    """Sends the events of a chat request.

    Args:
        events: starts the work; called once the request has a slot.
        request: the validated request.
        state: the server's state.
        arrived: arrival time, by `time.monotonic`.
    """

    def __init__(self, events: StartEvents, request: ChatRequest, state: ServerState, arrived: float) -> None:
        super().__init__(events, state, arrived, request.n or 1, bool(request.stream))
        self._include_usage = bool(request.stream_options and request.stream_options.include_usage)
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": self._created,
            "model": request.model,
        }

    def document(self, choices: list[CompleteChoice], usage: Usage) -> dict[str, Any]:
        """Return the complete response."""
        all_choices = [
            Choice(index=index, message=_message(choice), finish_reason=choice.reason)
            for index, choice in enumerate(choices)
        ]
        return ChatResponse(**self._head, choices=all_choices, usage=token_usage(usage)).model_dump()

    async def chunks(self, events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
        """Yield the stream."""
        for index in range(self._choices):
            yield self._chunk(index, {"role": "assistant", "content": ""})
        async for event in events:
            match event:
                case TextDelta(index, text):
                    yield self._chunk(index, {"content": text})
                case CaptionsEvent(index, captions):
                    yield self._chunk(index, {"drawing": {"captions": captions}})
                case ImageEvent(index):
                    yield self._chunk(index, await asyncio.to_thread(_image_delta, event))
                case ToolCallsEvent(index, calls):
                    items = [{"index": number, **item.model_dump()} for number, item in enumerate(_call_items(calls))]
                    yield self._chunk(index, {"tool_calls": items})
                case ChoiceEnd(index, reason):
                    yield self._chunk(index, {}, reason)
                case Usage() if self._include_usage:
                    usage = {"choices": [], "usage": token_usage(event).model_dump()}
                    yield sse({**self._head, "object": "chat.completion.chunk", **usage})
        yield b"data: [DONE]\n\n"

    def _chunk(self, index: int, delta: dict[str, Any], reason: str | None = None) -> bytes:
        data = stream_chunk(self._head, index, delta, reason)
        return sse({**data, "usage": None} if self._include_usage else data)


def _message(choice: CompleteChoice) -> ResponseMessage:
    image = choice.image
    if choice.calls:
        return MessageWithToolCalls(content=choice.text.strip(), tool_calls=_call_items(choice.calls))
    if image is None:
        return ResponseMessage(content=choice.text)
    note = DrawingNote(captions=list(choice.captions), seed=image.seed, reason=image.reason)
    return MessageWithImages(content=choice.text, images=_response_images(image), drawing=note)


def _call_items(calls: tuple[ToolCall, ...]) -> list[ToolCallItem]:
    return [
        ToolCallItem(
            id=f"call_{secrets.token_hex(12)}", function=CalledFunction(name=call.name, arguments=call.arguments)
        )
        for call in calls
    ]


def _response_images(image: ImageEvent) -> list[ResponseImagePart]:
    return [ResponseImagePart(image_url=ResponseImageUrl(url=encode_data_uri(image.png)))] if image.png else []


def _image_delta(image: ImageEvent) -> dict[str, Any]:
    """Return the delta of an image; merged with the earlier captions it equals the fields of a complete message."""
    images = [part.model_dump() for part in _response_images(image)]
    return {"images": images, "drawing": {"seed": image.seed, "reason": image.reason}}
