"""From the events of a work to an answer over HTTP. Streamed and whole are told from the same events."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..inference import RequestError
from .backends import Event, Finished, Piece, Usage
from .errors import ApiError, internal_error
from .guard import DisconnectError, gone
from .house import House
from .responses import ChatResponse, Choice, Reason, Said, TokenUsage, chunk
from .schema import ChatRequest
from .work import Work

STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # or a proxy keeps the pieces until there are many
]


class Answered(Response):
    """The answer to a conversation; the work on it begins when it is sent, and ends when the client hangs up.

    Args:
        events: makes the answer, once there is a slot.
        asked: the request.
        house: where it is answered.
        arrived: when it came, by `time.monotonic`.
    """

    def __init__(
        self, events: Callable[[], AsyncIterator[Event]], asked: ChatRequest, house: House, arrived: float
    ) -> None:
        super().__init__()
        self._events, self._asked, self._house, self._arrived = events, asked, house, arrived
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": asked.model,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = Work(self._house.gate, self._events, self._house.works)
        watcher = asyncio.create_task(_watch(receive, work))
        try:
            # Nothing is sent before the first event is here: until then an error is an answer of its own.
            first = await self._next(work)
            if first is not None:
                self._house.metrics.first_token.observe(time.monotonic() - self._arrived)
            if self._asked.stream:
                await self._stream(first, work, send)
            else:
                await (await self._whole(first, work))(scope, receive, send)
        finally:
            watcher.cancel()
            work.stop()

    async def _next(self, work: Work) -> Event | None:
        try:
            event = await work.next()
        except RequestError as error:
            code = "context_length_exceeded" if "context" in str(error) else None
            raise ApiError(400, str(error), code=code, param="messages") from None
        if isinstance(event, Usage):
            self._house.metrics.tokens.labels("read").inc(event.prompt_tokens)
            self._house.metrics.tokens.labels("written").inc(event.completion_tokens)
        return event

    async def _whole(self, event: Event | None, work: Work) -> JSONResponse:
        texts: dict[int, list[str]] = {index: [] for index in range(self._asked.n or 1)}
        reasons: dict[int, Reason] = {}
        usage = Usage(0, 0)
        while event is not None:
            match event:
                case Piece(index, text):
                    texts[index].append(text)
                case Finished(index, reason):
                    reasons[index] = reason
                case Usage():
                    usage = event
            event = await self._next(work)
        choices = [
            Choice(index=index, message=Said(content="".join(texts[index])), finish_reason=reasons[index])
            for index in texts
        ]
        return JSONResponse(ChatResponse(**self._head, choices=choices, usage=_usage(usage)).model_dump())

    async def _stream(self, event: Event | None, work: Work, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
        try:
            for index in range(self._asked.n or 1):
                await _say(send, self._chunk(index, {"role": "assistant", "content": ""}))
            while event is not None:
                match event:
                    case Piece(index, text):
                        await _say(send, self._chunk(index, {"content": text}))
                    case Finished(index, reason):
                        await _say(send, self._chunk(index, {}, reason))
                    case Usage() if self._wants_usage:
                        usage = {"choices": [], "usage": _usage(event).model_dump()}
                        await _say(send, {**self._head, "object": "chat.completion.chunk", **usage})
                event = await self._next(work)
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


async def _watch(receive: Receive, work: Work) -> None:
    await gone(receive)
    work.stop(DisconnectError())


async def _say(send: Send, data: dict[str, Any], more: bool = True) -> None:
    body = f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
    await send({"type": "http.response.body", "body": body, "more_body": more})


def _usage(usage: Usage) -> TokenUsage:
    total = usage.prompt_tokens + usage.completion_tokens
    return TokenUsage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens, total_tokens=total)
