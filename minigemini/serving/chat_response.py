"""From the events of a work to an answer over HTTP. Streamed and whole are told from the same events."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from .api_errors import ApiError, internal_error
from .backends import CaptionsEvent, ChoiceEnd, Event, ImageEvent, TextDelta, Usage
from .image_parts import uri_of
from .middleware import DisconnectError
from .protocol import ChatRequest, DrawingNote
from .request_task import RequestTask, TaskResponse
from .responses import (
    ChatResponse,
    Choice,
    MessageWithImages,
    Reason,
    ResponseImagePart,
    ResponseImageUrl,
    ResponseMessage,
    TokenUsage,
    chunk,
)
from .state import ServerState

STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # or a proxy keeps the pieces until there are many
]


class ChatResponder(TaskResponse):
    """The answer to a conversation.

    Args:
        events: makes the answer, once there is a slot.
        asked: the request.
        house: where it is answered.
        arrived: when it came, by `time.monotonic`.
    """

    def __init__(
        self, events: Callable[[], AsyncIterator[Event]], asked: ChatRequest, state: ServerState, arrived: float
    ) -> None:
        super().__init__(events, state, param="messages")
        self._asked, self._arrived = asked, arrived
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": asked.model,
        }

    async def tell(self, task: RequestTask, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, whole or streamed."""
        # Nothing is sent before the first event is here: until then an error is an answer of its own.
        first = await self.next(task)
        if first is not None:
            self._state.metrics.first_token.observe(time.monotonic() - self._arrived)
        if self._asked.stream:
            await self._stream(first, task, send)
        else:
            await (await self._whole(first, task))(scope, receive, send)

    async def _whole(self, event: Event | None, task: RequestTask) -> JSONResponse:
        said = [_Message() for _ in range(self._asked.n or 1)]
        usage = Usage(0, 0)
        while event is not None:
            match event:
                case TextDelta(index, text):
                    said[index].texts.append(text)
                case CaptionsEvent(index, captions):
                    said[index].captions = captions
                case ImageEvent(index):
                    said[index].drawn = event
                case ChoiceEnd(index, reason):
                    said[index].reason = reason
                case Usage():
                    usage = event
            event = await self.next(task)
        return await asyncio.to_thread(self._response, said, usage)  # pictures are megabytes

    def _response(self, said: "list[_Message]", usage: Usage) -> JSONResponse:
        choices = [
            Choice(index=index, message=choice.message(), finish_reason=choice.reason)
            for index, choice in enumerate(said)
        ]
        return JSONResponse(ChatResponse(**self._head, choices=choices, usage=_usage(usage)).model_dump())

    async def _stream(self, event: Event | None, task: RequestTask, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
        try:
            for index in range(self._asked.n or 1):
                await _say(send, self._chunk(index, {"role": "assistant", "content": ""}))
            while event is not None:
                match event:
                    case TextDelta(index, text):
                        await _say(send, self._chunk(index, {"content": text}))
                    case CaptionsEvent(index, captions):
                        await _say(send, self._chunk(index, {"drawing": {"captions": captions}}))
                    case ImageEvent(index):
                        await _say(send, self._chunk(index, await asyncio.to_thread(_delta, event)))
                    case ChoiceEnd(index, reason):
                        await _say(send, self._chunk(index, {}, reason))
                    case Usage() if self._wants_usage:
                        usage = {"choices": [], "usage": _usage(event).model_dump()}
                        await _say(send, {**self._head, "object": "chat.completion.chunk", **usage})
                event = await self.next(task)
            await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
        except DisconnectError:
            raise
        except Exception as error:
            # The status is out already, so clients learn of it by an event; the log learns of it behind the door.
            told = error if isinstance(error, ApiError) else internal_error()
            await _say(send, told.envelope(), more=False)
            if told is not error:
                raise

    @property
    def _wants_usage(self) -> bool:
        return bool(self._asked.stream_options and self._asked.stream_options.include_usage)

    def _chunk(self, index: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        data = chunk(self._head, index, delta, reason)
        return {**data, "usage": None} if self._wants_usage else data


@dataclass
class _Message:
    """What has been said of a choice."""

    texts: list[str] = field(default_factory=list)
    captions: tuple[str, ...] = ()
    drawn: ImageEvent | None = None
    reason: Reason = "stop"

    def message(self) -> ResponseMessage:
        content, drawn = "".join(self.texts), self.drawn
        if drawn is None:
            return ResponseMessage(content=content)
        note = DrawingNote(captions=list(self.captions), seed=drawn.seed, reason=drawn.reason)
        return MessageWithImages(content=content, images=_images(drawn), drawing=note)


def _images(drawn: ImageEvent) -> list[ResponseImagePart]:
    return [ResponseImagePart(image_url=ResponseImageUrl(url=uri_of(drawn.png)))] if drawn.png else []


def _delta(drawn: ImageEvent) -> dict[str, Any]:
    """What a stream says of a picture; joined with the captions, which came before, it is what a message says."""
    images = [part.model_dump() for part in _images(drawn)]
    return {"images": images, "drawing": {"seed": drawn.seed, "reason": drawn.reason}}


async def _say(send: Send, data: dict[str, Any], more: bool = True) -> None:
    body = f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
    await send({"type": "http.response.body", "body": body, "more_body": more})


def _usage(usage: Usage) -> TokenUsage:
    total = usage.prompt_tokens + usage.completion_tokens
    return TokenUsage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens, total_tokens=total)
