"""/v1/completions: continue a text without a chat template, as older clients do."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, ClassVar, Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field

from .backends import ChatJob, ChoiceEnd, Event, TextDelta, Usage
from .chat_jobs import StartEvents, check_generation, check_length, sampling_of
from .event_response import CompleteChoice, EventResponse, sse, token_usage, without_tools
from .json_body import read_request
from .protocol import FinishReason, GenerationRequest, TokenUsage, error_responses, request_body
from .state import ServerState

FIELDS = {"messages": "prompt"}
DESCRIPTION = "The continuation, complete or as a stream."


class CompletionRequest(GenerationRequest):
    """A text completion request."""

    UNSUPPORTED: ClassVar[dict[str, str]] = {
        "logprobs": "log probabilities are not supported",
        "prompt": "give one text; token ids and several texts are not supported",
        "suffix": "insertion is not supported",
        "best_of": "only one candidate is generated per choice",
        "frequency_penalty": "penalties are not supported; repetition_penalty is",
        "presence_penalty": "penalties are not supported; repetition_penalty is",
        "logit_bias": "token biases are not supported",
    }

    prompt: (
        Annotated[str, Field(min_length=1, description="Control tokens in it are control tokens.")]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=1)]
    )
    echo: Annotated[bool | None, Field(description="Begin the answer with the prompt.")] = None
    # Only the neutral value is accepted.
    logprobs: None = None
    suffix: Literal[""] | None = None
    best_of: Annotated[int | None, Field(ge=1, le=1)] = None

    @property
    def text(self) -> str:
        """The prompt."""
        return self.prompt if isinstance(self.prompt, str) else self.prompt[0]


class CompletionChoice(BaseModel):
    """One of `n` continuations."""

    index: int
    text: str
    logprobs: None = None
    finish_reason: FinishReason | None


class CompletionResponse(BaseModel):
    """A complete text completion."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: TokenUsage


def add_routes(app: FastAPI, state: ServerState) -> None:
    """Add the route to the application."""
    responses = {**error_responses(), 200: {"description": DESCRIPTION, "content": {"text/event-stream": {}}}}

    @app.post(
        "/v1/completions",
        response_model=CompletionResponse,
        responses=responses,
        openapi_extra=request_body(CompletionRequest),
    )
    async def completions(request: Request) -> CompletionTaskResponse:
        """Continue a text."""
        arrived = time.monotonic()
        body = await request.body()
        text_request = await asyncio.to_thread(read_request, body, CompletionRequest, state.settings.max_text_chars)
        check_generation(text_request, state)
        check_length(len(text_request.text), state, "prompt")
        job = ChatJob(
            [],
            sampling_of(text_request, state),
            text_request.n or 1,
            text_request.stop_strings,
            prompt=text_request.text,
        )
        return CompletionTaskResponse(lambda: state.pipeline.answer(job), text_request, state, arrived)


class CompletionTaskResponse(EventResponse):
    """Sends the events of a text completion.

    Args:
        events: starts the work; called once the request has a slot.
        request: the validated request.
        state: the server's state.
        arrived: arrival time, by `time.monotonic`.
    """

    def __init__(self, events: StartEvents, request: CompletionRequest, state: ServerState, arrived: float) -> None:
        super().__init__(events, state, arrived, request.n or 1, bool(request.stream), FIELDS)
        self._include_usage = bool(request.stream_options and request.stream_options.include_usage)
        self._echoed = request.text if request.echo else ""
        self._head: dict[str, Any] = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "created": self._created,
            "model": request.model,
        }

    def document(self, choices: list[CompleteChoice], usage: Usage) -> dict[str, Any]:
        """Return the complete response."""
        all_choices = [
            CompletionChoice(index=index, text=self._echoed + choice.text, finish_reason=without_tools(choice.reason))
            for index, choice in enumerate(choices)
        ]
        return CompletionResponse(**self._head, choices=all_choices, usage=token_usage(usage)).model_dump()

    async def chunks(self, events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
        """Yield the stream."""
        for index in range(self._choices if self._echoed else 0):
            yield self._chunk(index, self._echoed)
        async for event in events:
            match event:
                case TextDelta(index, text):
                    yield self._chunk(index, text)
                case ChoiceEnd(index, reason):
                    yield self._chunk(index, "", without_tools(reason))
                case Usage() if self._include_usage:
                    usage = {"choices": [], "usage": token_usage(event).model_dump()}
                    yield sse({**self._head, "object": "text_completion", **usage})
        yield b"data: [DONE]\n\n"

    def _chunk(self, index: int, text: str, reason: FinishReason | None = None) -> bytes:
        choice = CompletionChoice(index=index, text=text, finish_reason=reason).model_dump()
        usage = {"usage": None} if self._include_usage else {}
        return sse({**self._head, "object": "text_completion", "choices": [choice], **usage})
