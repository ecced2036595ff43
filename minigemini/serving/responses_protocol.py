"""Requests and responses of /v1/responses, for text and images; nothing is stored between requests."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field

from .protocol import (
    MAX_ITEMS,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedSchema,
    PlainText,
    SamplingFields,
    Strict,
    TokenCount,
)

NOT_STORED = "responses are not stored; send the whole conversation as input"
NO_TOOLS = "tools are not supported here; /v1/chat/completions has them for some models"

FIELDS = {
    "messages": "input",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
}
"""Names of the fields in errors, by those of chat completions."""


class InputText(Strict):
    """Text; a response's own `output_text` is accepted too, when it is sent back."""

    type: Literal["input_text", "output_text"]
    text: str
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    logprobs: Annotated[list[Any], Field(max_length=0)] | None = None


class InputImage(Strict):
    """An image."""

    type: Literal["input_image"]
    image_url: Annotated[
        str, Field(min_length=1, description="data:image/png;base64,… or, if the server allows its host, https://…")
    ]
    detail: Annotated[
        Literal["auto", "low", "high", "original"] | None,
        Field(description="Ignored: both image encoders process every image."),
    ] = None
    file_id: None = None


InputPart = Annotated[InputText | InputImage, Field(discriminator="type")]


class InputMessage(Strict):
    """A message; only those of the user may have images. Earlier responses can be sent back unchanged."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | Annotated[list[InputPart], Field(fail_fast=True, min_length=1, max_length=MAX_ITEMS)]
    type: Literal["message"] | None = None
    id: str | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None
    phase: Literal["commentary", "final_answer"] | None = None

    def as_chat(self) -> dict[str, Any]:
        """Return the message of a chat completion."""
        if isinstance(self.content, str):
            return {"role": self.role, "content": self.content}
        parts = [
            {"type": "text", "text": part.text}
            if isinstance(part, InputText)
            else {"type": "image_url", "image_url": {"url": part.image_url}}
            for part in self.content
        ]
        return {"role": self.role, "content": parts}


class SchemaFormat(NamedSchema):
    """JSON that matches a schema."""

    type: Literal["json_schema"]


class TextOptions(Strict):
    """The form of the answer."""

    format: Annotated[PlainText | JsonObjectFormat | SchemaFormat, Field(discriminator="type")] | None = None
    verbosity: Annotated[Literal["low", "medium", "high"] | None, Field(description="Ignored.")] = None

    def as_chat(self) -> PlainText | JsonObjectFormat | JsonSchemaFormat | None:
        """Return the `response_format` of a chat completion."""
        if not isinstance(self.format, SchemaFormat):
            return self.format
        return JsonSchemaFormat(type="json_schema", json_schema=self.format)


class ResponsesStreamOptions(Strict):
    """Options of a stream."""

    include_obfuscation: Annotated[bool | None, Field(description="Ignored.")] = None


class ResponsesRequest(SamplingFields):
    """A request for a response."""

    UNSUPPORTED: ClassVar[dict[str, str]] = {
        "tools": NO_TOOLS,
        "tool_choice": NO_TOOLS,
        "max_tool_calls": NO_TOOLS,
        "previous_response_id": NOT_STORED,
        "conversation": NOT_STORED,
        "background": "responses are not stored; use stream",
        "prompt": "prompt templates are not supported; send input",
        "reasoning": "the model does not reason before it answers",
        "top_logprobs": "log probabilities are not supported",
        "include": "there is nothing to include",
        "truncation": "conversations are not truncated; send fewer messages",
    }

    model: str
    input: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[InputMessage], Field(fail_fast=True, min_length=1, max_length=MAX_ITEMS)]
    )
    instructions: Annotated[str | None, Field(description="A system message before the input.")] = None
    max_output_tokens: TokenCount = None
    text: TextOptions | None = None
    continue_final_message: Annotated[
        bool | None, Field(description="Continue the last message, of role assistant; the output is what follows.")
    ] = None
    stream: bool | None = None
    stream_options: ResponsesStreamOptions | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    # Accepted and ignored.
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    store: bool | None = None
    service_tier: Literal["auto", "default"] | None = None
    parallel_tool_calls: bool | None = None
    # Only the neutral value is accepted.
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    max_tool_calls: None = None
    previous_response_id: None = None
    conversation: None = None
    background: Literal[False] | None = None
    prompt: None = None
    reasoning: None = None
    top_logprobs: Annotated[int | None, Field(ge=0, le=0)] = None
    include: Annotated[list[str], Field(max_length=0)] | None = None
    truncation: Literal["disabled"] | None = None

    def as_chat(self) -> dict[str, Any]:
        """Return the fields of a `ChatRequest` with the same answer."""
        messages = [{"role": "system", "content": self.instructions}] if self.instructions else []
        if isinstance(self.input, str):
            messages.append({"role": "user", "content": self.input})
        else:
            messages += [message.as_chat() for message in self.input]
        return {
            "model": self.model,
            "messages": messages,
            "max_completion_tokens": self.max_output_tokens,
            "response_format": self.text and self.text.as_chat(),
            "continue_final_message": self.continue_final_message,
            **self.model_dump(include=set(SamplingFields.model_fields)),
        }


class OutputText(BaseModel):
    """The text of an answer."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[Any] = []
    logprobs: list[Any] = []


class OutputMessage(BaseModel):
    """An answer."""

    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[OutputText]


class InputTokensDetails(BaseModel):
    """Always 0: prompts are not cached."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokensDetails(BaseModel):
    """Always 0: the model does not reason before it answers."""

    reasoning_tokens: int = 0


class ResponsesUsage(BaseModel):
    """Token counts; image tokens count as input tokens."""

    input_tokens: int
    input_tokens_details: InputTokensDetails = InputTokensDetails()
    output_tokens: int
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()
    total_tokens: int


class IncompleteDetails(BaseModel):
    """Why an answer is incomplete."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class ResponseFailure(BaseModel):
    """Why a stream failed."""

    code: str
    message: str


class ResponseObject(BaseModel):
    """A response, with the settings that it was generated with."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    error: ResponseFailure | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputMessage] = []
    parallel_tool_calls: bool
    previous_response_id: None = None
    store: Literal[False] = False
    temperature: float
    text: dict[str, Any]
    tool_choice: Literal["none", "auto"]
    tools: list[Any] = []
    top_p: float
    truncation: Literal["disabled"] = "disabled"
    usage: ResponsesUsage | None = None
