"""Send the events of a text request as one JSON document or as a stream; each route says in which form."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, ClassVar

from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from ..inference.tool_calls import ToolCall
from .api_errors import ApiError, DisconnectError, internal_error
from .backends import CaptionsEvent, ChoiceEnd, Event, ImageEvent, TextDelta, ToolCallsEvent, Usage
from .chat_jobs import StartEvents
from .protocol import ChatFinishReason, FinishReason, TokenUsage
from .request_queue import RequestTask, TaskResponse
from .state import ServerState


@dataclass
class CompleteChoice:
    """All events of one choice."""

    texts: list[str] = field(default_factory=list)
    captions: tuple[str, ...] = ()
    image: ImageEvent | None = None
    calls: tuple[ToolCall, ...] = ()
    reason: ChatFinishReason = "stop"

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.texts)


class EventResponse(TaskResponse):
    """Sends events as a document or a stream.

    Args:
        events: starts the work; called once the request has a slot.
        state: the server's state.
        arrived: arrival time, by `time.monotonic`.
        choices: number of answers.
        streams: whether to stream.
        names: names of this route's fields in errors, by those of chat completions.
    """

    MEDIA_TYPE: ClassVar = "text/event-stream; charset=utf-8"
    """Media type of the stream."""

    def __init__(
        self,
        events: StartEvents,
        state: ServerState,
        arrived: float,
        choices: int = 1,
        streams: bool = False,
        names: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(events, state, param="messages", names=names)
        self._choices, self._streams = choices, streams
        self._arrived, self._created = arrived, int(time.time())

    def document(self, choices: list[CompleteChoice], usage: Usage) -> dict[str, Any]:
        """Return the complete response."""
        raise NotImplementedError

    def chunks(self, events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
        """Yield the stream."""
        raise NotImplementedError

    def error_chunk(self, error: ApiError) -> bytes:
        """Return the event of an error after the stream has begun."""
        return sse(error.envelope())

    async def send_events(self, task: RequestTask, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, complete or streamed."""
        # Send nothing before the first event: until then an error can still set the status.
        first = await self.next_event(task)
        if first is not None:
            self._state.metrics.first_token.observe(time.monotonic() - self._arrived)
        events = self._all_events(first, task)
        if self._streams:
            await self._send_stream(events, send)
        else:
            await (await self._complete(events))(scope, receive, send)

    async def _all_events(self, event: Event | None, task: RequestTask) -> AsyncIterator[Event]:
        while event is not None:
            yield event
            event = await self.next_event(task)

    async def _complete(self, events: AsyncIterator[Event]) -> JSONResponse:
        choices = [CompleteChoice() for _ in range(self._choices)]
        usage = Usage(0, 0)
        async for event in events:
            match event:
                case TextDelta(index, text):
                    choices[index].texts.append(text)
                case CaptionsEvent(index, captions):
                    choices[index].captions = captions
                case ImageEvent(index):
                    choices[index].image = event
                case ToolCallsEvent(index, calls):
                    choices[index].calls = calls
                case ChoiceEnd(index, reason):
                    choices[index].reason = reason
                case Usage():
                    usage = event
        # Encoding images takes time.
        return await asyncio.to_thread(lambda: JSONResponse(self.document(choices, usage)))

    async def _send_stream(self, events: AsyncIterator[Event], send: Send) -> None:
        headers = [
            (b"content-type", self.MEDIA_TYPE.encode()),
            (b"cache-control", b"no-cache"),
            (b"x-accel-buffering", b"no"),  # keeps nginx from buffering the stream
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            chunks: Any = self.chunks(events)
            async with aclosing(chunks):
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except DisconnectError:
            raise
        except Exception as error:
            # The status has been sent, so the client gets an error event; RequestMiddleware logs internal errors.
            api_error = error if isinstance(error, ApiError) else internal_error()
            await send({"type": "http.response.body", "body": self.error_chunk(api_error)})
            if api_error is not error:
                raise
        else:
            await send({"type": "http.response.body", "body": b""})


def sse(data: Mapping[str, Any], event: str | None = None) -> bytes:
    """Return a server-sent event."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def without_tools(reason: ChatFinishReason) -> FinishReason:
    """Return the reason of a choice on a route without tools."""
    return "length" if reason == "length" else "stop"


def token_usage(usage: Usage) -> TokenUsage:
    """Return token counts as chat and text completions have them."""
    total = usage.prompt_tokens + usage.completion_tokens
    return TokenUsage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens, total_tokens=total)
