"""/api/chat and /api/tags: the part of Ollama's API that chat clients use, for text and images.

Errors have OpenAI's form, as on all routes. https://github.com/ollama/ollama/blob/main/docs/api.md
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field

from .api_errors import field_names
from .backends import ChoiceEnd, Event, TextDelta, Usage
from .chat_jobs import StartEvents, prepare
from .event_response import CompleteChoice, EventResponse, without_tools
from .json_body import chat_request, read_request
from .protocol import MAX_ITEMS, ChatFinishReason, FinishReason, StopString, Strict, error_responses, request_body
from .state import ServerState

DESCRIPTION = "The answer, as a stream of JSON lines unless `stream` is false."
FIELDS = {"max_completion_tokens": "options.num_predict", "response_format": "format"}
"""Names of the fields in errors, by those of chat completions."""


class OllamaMessage(Strict):
    """A message."""

    role: Literal["system", "user", "assistant"]
    content: str
    images: (
        Annotated[
            list[Annotated[str, Field(min_length=1)]],
            Field(fail_fast=True, max_length=100, description="Base64 without a data URI's head; of the user only."),
        ]
        | None
    ) = None


class OllamaOptions(Strict):
    """Sampling; the settings of Ollama's own runner are refused."""

    temperature: Annotated[float | None, Field(ge=0, le=2, description="0, the default, is greedy decoding.")] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    top_k: Annotated[int | None, Field(ge=-1, lt=2**31)] = None
    min_p: Annotated[float | None, Field(ge=0, le=1)] = None
    repeat_penalty: Annotated[float | None, Field(gt=0, le=10)] = None
    seed: Annotated[int | None, Field(ge=0, lt=2**62)] = None
    num_predict: Annotated[int | None, Field(ge=-1, lt=2**31, description="-1 is the server's maximum.")] = None
    num_ctx: Annotated[int | None, Field(ge=1, description="Ignored: the context is the model's.")] = None
    stop: StopString | Annotated[list[StopString], Field(max_length=4)] | None = None


class OllamaChatRequest(Strict):
    """A chat request."""

    UNSUPPORTED: ClassVar[dict[str, str]] = {
        "tools": "tools are not supported here; /v1/chat/completions has them for some models",
        "think": "the model does not reason before it answers",
    }

    model: str
    messages: Annotated[list[OllamaMessage], Field(fail_fast=True, min_length=1, max_length=MAX_ITEMS)]
    stream: Annotated[bool | None, Field(description="True by default.")] = None
    format: Annotated[
        Literal["", "json"] | dict[str, Any] | None, Field(description="`json`, or a JSON schema of the answer.")
    ] = None
    options: OllamaOptions | None = None
    keep_alive: Annotated[str | int | None, Field(description="Ignored: the model stays loaded.")] = None
    # Only the neutral value is accepted.
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    think: Literal[False] | None = None

    def as_chat(self) -> dict[str, Any]:
        """Return the fields of a `ChatRequest` with the same answer."""
        options = self.options or OllamaOptions()
        continues = self.messages[-1].role == "assistant"
        return {
            "model": self.model.removesuffix(":latest"),
            "messages": [_chat_message(message) for message in self.messages],
            "max_completion_tokens": options.num_predict if (options.num_predict or 0) > 0 else None,
            "repetition_penalty": options.repeat_penalty,
            "response_format": _response_format(self.format),
            "continue_final_message": continues,
            **options.model_dump(include={"temperature", "top_p", "top_k", "min_p", "seed", "stop"}),
        }


def _chat_message(message: OllamaMessage) -> dict[str, Any]:
    # The type named here does not matter: images are recognized by their content.
    images = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}} for image in message.images or ()
    ]
    if not images:
        return {"role": message.role, "content": message.content}
    if message.role == "assistant":
        return {"role": message.role, "content": message.content, "images": images}
    return {"role": message.role, "content": [*images, {"type": "text", "text": message.content}]}


def _response_format(format: Any) -> dict[str, Any] | None:
    if not isinstance(format, dict):
        return {"type": "json_object"} if format else None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": format}}


class OllamaAnswer(BaseModel):
    """The message of an answer."""

    role: Literal["assistant"] = "assistant"
    content: str


class OllamaChatResponse(BaseModel):
    """A complete answer; durations are in nanoseconds."""

    model: str
    created_at: str
    message: OllamaAnswer
    done: Literal[True] = True
    done_reason: FinishReason
    total_duration: int
    prompt_eval_count: int
    eval_count: int


class OllamaModel(BaseModel):
    """The served model."""

    name: str
    model: str
    modified_at: str
    size: int = 0
    digest: str = ""
    details: dict[str, Any] = {}


class OllamaModels(BaseModel):
    """The list of served models."""

    models: list[OllamaModel]


def add_routes(app: FastAPI, state: ServerState) -> None:
    """Add the routes to the application."""
    card = OllamaModel(name=state.backend.name, model=state.backend.name, modified_at=_timestamp(state.created))
    responses = {**error_responses(), 200: {"description": DESCRIPTION, "content": {"application/x-ndjson": {}}}}

    @app.post(
        "/api/chat",
        response_model=OllamaChatResponse,
        responses=responses,
        openapi_extra=request_body(OllamaChatRequest),
    )
    async def ollama_chat(request: Request) -> OllamaTaskResponse:
        """Answer a conversation about images."""
        arrived = time.monotonic()
        body = await request.body()
        own_request = await asyncio.to_thread(read_request, body, OllamaChatRequest, state.settings.max_text_chars)
        with field_names(FIELDS):
            events = await prepare(chat_request(own_request.as_chat()), state)
        return OllamaTaskResponse(events, own_request, state, arrived)

    @app.get("/api/tags", responses=error_responses(401, 403))
    async def ollama_tags() -> OllamaModels:
        """List the served model."""
        return OllamaModels(models=[card])


class OllamaTaskResponse(EventResponse):
    """Sends the events of a chat.

    Args:
        events: starts the work; called once the request has a slot.
        request: the validated request.
        state: the server's state.
        arrived: arrival time, by `time.monotonic`.
    """

    MEDIA_TYPE = "application/x-ndjson"

    def __init__(self, events: StartEvents, request: OllamaChatRequest, state: ServerState, arrived: float) -> None:
        super().__init__(events, state, arrived, 1, request.stream is not False, FIELDS)
        self._head: dict[str, Any] = {"model": request.model, "created_at": _timestamp(self._created)}

    def document(self, choices: list[CompleteChoice], usage: Usage) -> dict[str, Any]:
        """Return the complete response."""
        return self._end(choices[0].text, choices[0].reason, usage)

    async def chunks(self, events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
        """Yield the stream."""
        reason: ChatFinishReason = "stop"
        usage = Usage(0, 0)
        async for event in events:
            match event:
                case TextDelta(_, text):
                    yield _line({**self._head, "message": OllamaAnswer(content=text).model_dump(), "done": False})
                case ChoiceEnd(_, reason):
                    pass
                case Usage():
                    usage = event
        yield _line(self._end("", reason, usage))

    def error_chunk(self, error: Any) -> bytes:
        """Return the line of an error after the stream has begun."""
        return _line(error.envelope())

    def _end(self, text: str, reason: ChatFinishReason, usage: Usage) -> dict[str, Any]:
        return OllamaChatResponse(
            **self._head,
            message=OllamaAnswer(content=text),
            done_reason=without_tools(reason),
            total_duration=int((time.monotonic() - self._arrived) * 1e9),
            prompt_eval_count=usage.prompt_tokens,
            eval_count=usage.completion_tokens,
        ).model_dump()


def _line(data: dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode() + b"\n"


def _timestamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
