"""/v1/responses: OpenAI's responses, for text and images. A request becomes a `ChatRequest`; only the form differs."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request

from .api_errors import ApiError, field_names
from .backends import ChoiceEnd, Event, TextDelta, Usage
from .chat_jobs import StartEvents, prepare
from .event_response import CompleteChoice, EventResponse, sse
from .json_body import chat_request, read_request
from .protocol import ChatFinishReason, error_responses, request_body
from .responses_protocol import (
    FIELDS,
    IncompleteDetails,
    OutputMessage,
    OutputText,
    ResponseFailure,
    ResponseObject,
    ResponsesRequest,
    ResponsesUsage,
)
from .state import ServerState

DESCRIPTION = "The response, complete or as a stream of events that begins with `response.created`."


def add_routes(app: FastAPI, state: ServerState) -> None:
    """Add the route to the application."""
    described = {**error_responses(), 200: {"description": DESCRIPTION, "content": {"text/event-stream": {}}}}

    @app.post(
        "/v1/responses",
        response_model=ResponseObject,
        responses=described,
        openapi_extra=request_body(ResponsesRequest),
    )
    async def responses(request: Request) -> ResponsesTaskResponse:
        """Answer a conversation about images."""
        arrived = time.monotonic()
        body = await request.body()
        own_request = await asyncio.to_thread(read_request, body, ResponsesRequest, state.settings.max_text_chars)
        with field_names(FIELDS):
            events = await prepare(chat_request(own_request.as_chat()), state)
        return ResponsesTaskResponse(events, own_request, state, arrived)


class ResponsesTaskResponse(EventResponse):
    """Sends the events of a response.

    Args:
        events: starts the work; called once the request has a slot.
        request: the validated request.
        state: the server's state.
        arrived: arrival time, by `time.monotonic`.
    """

    def __init__(self, events: StartEvents, request: ResponsesRequest, state: ServerState, arrived: float) -> None:
        super().__init__(events, state, arrived, 1, bool(request.stream), FIELDS)
        format = request.text.format if request.text and request.text.format else None
        self._settings: dict[str, Any] = {
            "id": f"resp_{secrets.token_hex(12)}",
            "created_at": self._created,
            "model": request.model,
            "instructions": request.instructions,
            "max_output_tokens": request.max_output_tokens,
            "metadata": request.metadata or {},
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "temperature": request.temperature or 0.0,
            "text": {"format": format.model_dump(by_alias=True, exclude_none=True) if format else {"type": "text"}},
            "tool_choice": request.tool_choice or "auto",
            "top_p": 1.0 if request.top_p is None else request.top_p,
        }
        self._item = f"msg_{secrets.token_hex(12)}"
        self._sent = 0

    def document(self, choices: list[CompleteChoice], usage: Usage) -> dict[str, Any]:
        """Return the complete response."""
        return self._response(choices[0].text, choices[0].reason, usage).model_dump()

    async def chunks(self, events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
        """Yield the stream, in the order of OpenAI's events."""
        begun = ResponseObject(**self._settings, status="in_progress").model_dump()
        yield self._event("response.created", response=begun)
        yield self._event("response.in_progress", response=begun)
        item = OutputMessage(id=self._item, status="in_progress", content=[])
        yield self._event("response.output_item.added", output_index=0, item=item.model_dump())
        yield self._part_event("response.content_part.added", part=OutputText(text="").model_dump())
        texts: list[str] = []
        reason: ChatFinishReason = "stop"
        usage = Usage(0, 0)
        async for event in events:
            match event:
                case TextDelta(_, text):
                    texts.append(text)
                    yield self._part_event("response.output_text.delta", delta=text, logprobs=[])
                case ChoiceEnd(_, reason):
                    pass
                case Usage():
                    usage = event
        whole = self._response("".join(texts), reason, usage)
        part = whole.output[0].content[0]
        yield self._part_event("response.output_text.done", text=part.text, logprobs=[])
        yield self._part_event("response.content_part.done", part=part.model_dump())
        yield self._event("response.output_item.done", output_index=0, item=whole.output[0].model_dump())
        yield self._event(f"response.{whole.status}", response=whole.model_dump())

    def error_chunk(self, error: ApiError) -> bytes:
        """Return the event of a failed response."""
        failure = ResponseFailure(code=error.code or "server_error", message=error.message)
        failed = ResponseObject(**self._settings, status="failed", error=failure)
        return self._event("response.failed", response=failed.model_dump())

    def _response(self, text: str, reason: ChatFinishReason, usage: Usage) -> ResponseObject:
        is_cut = reason == "length"
        message = OutputMessage(
            id=self._item, status="incomplete" if is_cut else "completed", content=[OutputText(text=text)]
        )
        return ResponseObject(
            **self._settings,
            status=message.status,
            incomplete_details=IncompleteDetails() if is_cut else None,
            output=[message],
            usage=ResponsesUsage(
                input_tokens=usage.prompt_tokens,
                output_tokens=usage.completion_tokens,
                total_tokens=usage.prompt_tokens + usage.completion_tokens,
            ),
        )

    def _part_event(self, kind: str, **fields: Any) -> bytes:
        return self._event(kind, item_id=self._item, output_index=0, content_index=0, **fields)

    def _event(self, kind: str, **fields: Any) -> bytes:
        event = sse({"type": kind, "sequence_number": self._sent, **fields}, kind)
        self._sent += 1
        return event
