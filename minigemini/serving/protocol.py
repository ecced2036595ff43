"""Request and response models of the API, and their entries in the OpenAPI document.

Requests are strict: a field that would have no effect is rejected by name.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_ITEMS = 1000
"""Items in one list of a request."""
SCHEMA_REF = "#/components/schemas/{model}"

FinishReason = Literal["stop", "length"]
ChatFinishReason = Literal["stop", "length", "tool_calls"]


class Strict(BaseModel):
    """Rejects unknown fields, numbers in quotes, and NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    UNSUPPORTED: ClassVar[dict[str, str]] = {}
    """Why a field is rejected, or accepted only with its neutral value."""


class TextPart(Strict):
    """Text."""

    type: Literal["text"]
    text: str


class ImageUrl(Strict):
    """The URL of an image."""

    url: Annotated[
        str, Field(min_length=1, description="data:image/png;base64,… or, if the server allows its host, https://…")
    ]
    detail: Annotated[
        Literal["auto", "low", "high"] | None, Field(description="Ignored: both image encoders process every image.")
    ] = None


class ImagePart(Strict):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


class VideoUrl(Strict):
    """The URL of a video."""

    url: Annotated[str, Field(min_length=1, description="data:video/mp4;base64,… (or webm, quicktime, x-matroska)")]


class VideoPart(Strict):
    """A video, or an animated GIF or WEBP; the model sees some of its frames, each after its time."""

    type: Literal["video_url"]
    video_url: VideoUrl


class SystemMessage(Strict):
    """Instructions; the chat templates of some checkpoints have none."""

    role: Literal["system", "developer"]
    content: str | Annotated[list[TextPart], Field(fail_fast=True, min_length=1)]
    name: str | None = None


class UserMessage(Strict):
    """A question, with or without images and videos; those of a turn precede its text, images first."""

    role: Literal["user"]
    content: (
        str
        | Annotated[
            list[Annotated[TextPart | ImagePart | VideoPart, Field(discriminator="type")]],
            Field(fail_fast=True, min_length=1, max_length=MAX_ITEMS),
        ]
    )
    name: str | None = None


class DrawingNote(Strict):
    """The result of an image request."""

    captions: Annotated[
        list[str], Field(fail_fast=True, max_length=100, description="An image of the last caption is generated.")
    ]
    seed: Annotated[int | None, Field(description="Reproduces the image from the same caption.")] = None
    reason: Annotated[str | None, Field(description="Why there is no image.")] = None


class CalledFunction(Strict):
    """A function and its arguments."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    arguments: Annotated[str, Field(description="A JSON object.")]


class ToolCallItem(Strict):
    """A tool call."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class ToolMessage(Strict):
    """The result of a tool call."""

    role: Literal["tool"]
    content: str | Annotated[list[TextPart], Field(fail_fast=True, min_length=1)]
    tool_call_id: str


class AssistantMessage(Strict):
    """An earlier response, sent back unchanged; its images are shown with the next question.

    Clients send some fields back with a null value; those accept only null.
    """

    role: Literal["assistant"]
    content: str | Annotated[list[TextPart], Field(fail_fast=True, min_length=1)] | None = None
    images: Annotated[list[ImagePart], Field(fail_fast=True, max_length=100)] | None = None
    drawing: DrawingNote | None = None
    name: str | None = None
    refusal: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    audio: None = None
    function_call: None = None
    tool_calls: Annotated[list[ToolCallItem], Field(fail_fast=True, max_length=100)] | None = None


ChatMessage = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]
StopString = Annotated[str, Field(min_length=1, max_length=200)]


class StreamOptions(Strict):
    """Options of a streamed response."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class PlainText(Strict):
    """Any text, the default."""

    type: Literal["text"]


class JsonObjectFormat(Strict):
    """A JSON object."""

    type: Literal["json_object"]


class NamedSchema(Strict):
    """A JSON schema with a name."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    schema_: Annotated[
        dict[str, Any],
        Field(validation_alias="schema", serialization_alias="schema", description="In the subset of llguidance."),
    ]
    description: Annotated[str | None, Field(description="Ignored.")] = None
    strict: Annotated[bool | None, Field(description="Ignored: the answer always matches the schema.")] = None


class JsonSchemaFormat(Strict):
    """JSON that matches a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[PlainText | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]
TokenCount = Annotated[int | None, Field(ge=1, lt=2**31)]


class SamplingFields(Strict):
    """How the tokens of an answer are chosen."""

    temperature: Annotated[float | None, Field(ge=0, le=2, description="0, the default, is greedy decoding.")] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    top_k: Annotated[int | None, Field(ge=-1, lt=2**31, description="0 and -1 are all tokens.")] = None
    min_p: Annotated[float | None, Field(ge=0, le=1)] = None
    repetition_penalty: Annotated[float | None, Field(gt=0, le=10, description="1 is none.")] = None
    seed: Annotated[int | None, Field(ge=0, lt=2**62, description="Choice i is sampled with seed + i.")] = None


class FunctionDefinition(Strict):
    """A function that the model may call."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: Annotated[dict[str, Any] | None, Field(description="A JSON schema.")] = None
    strict: Annotated[bool | None, Field(description="Ignored: arguments are what the model writes.")] = None


class Tool(Strict):
    """A tool; only functions are supported."""

    type: Literal["function"]
    function: FunctionDefinition


class GenerationRequest(SamplingFields):
    """What requests for completions have in common."""

    LENGTH: ClassVar = "max_tokens"
    """The field that limits the length of an answer."""

    model: str
    n: Annotated[int | None, Field(ge=1, le=128)] = None
    stop: StopString | Annotated[list[StopString], Field(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: TokenCount = None
    response_format: ResponseFormat | None = None
    user: Annotated[str | None, Field(description="Ignored.")] = None
    # Only the neutral value is accepted.
    frequency_penalty: Annotated[float | None, Field(ge=0, le=0)] = None
    presence_penalty: Annotated[float | None, Field(ge=0, le=0)] = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None

    @property
    def length(self) -> int | None:
        """Maximum tokens of an answer."""
        return self.max_tokens

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The strings that end an answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class ChatRequest(GenerationRequest):
    """A chat completion request."""

    LENGTH: ClassVar = "max_completion_tokens"
    UNSUPPORTED: ClassVar[dict[str, str]] = {
        "logprobs": "log probabilities are not supported",
        "top_logprobs": "log probabilities are not supported",
        "functions": "send tools",
        "tool_choice": "only auto and none are supported",
        "frequency_penalty": "penalties are not supported",
        "presence_penalty": "penalties are not supported",
        "logit_bias": "token biases are not supported",
        "chat_template": "the checkpoint's own chat template is always used",
        "chat_template_kwargs": "the checkpoint's own chat template is always used",
    }

    messages: Annotated[list[ChatMessage], Field(fail_fast=True, min_length=1, max_length=MAX_ITEMS)]
    max_completion_tokens: TokenCount = None
    max_tokens: Annotated[TokenCount, Field(description="Deprecated alias of max_completion_tokens.")] = None
    continue_final_message: Annotated[
        bool | None, Field(description="Continue the last message, of role assistant; the answer is what follows.")
    ] = None
    add_generation_prompt: Annotated[
        bool | None, Field(description="The opposite of continue_final_message, as vLLM has both.")
    ] = None
    draw: Annotated[bool | None, Field(description="Request an image: the message gets `images` and `drawing`.")] = None
    ocr: Annotated[
        bool | None,
        Field(description="Run OCR on the images and give the model the texts.  [default: if it was trained for it]"),
    ] = None
    # Accepted and ignored.
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    store: bool | None = None
    service_tier: Literal["auto", "default"] | None = None
    # Only the neutral value is accepted.
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: None = None
    tools: Annotated[
        list[Tool] | None,
        Field(fail_fast=True, max_length=100, description="For models whose chat format has tools."),
    ] = None
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None

    @property
    def length(self) -> int | None:
        """Maximum tokens of an answer."""
        return self.max_completion_tokens or self.max_tokens


class ImageRequest(Strict):
    """An image generation request."""

    model: Annotated[str | None, Field(description="Name of the image generator or of the chat model.")] = None
    prompt: Annotated[str, Field(min_length=1, max_length=4000)]
    n: Annotated[int | None, Field(ge=1, le=10)] = None
    size: Annotated[str | None, Field(pattern=r"^([1-9]\d{1,3}x[1-9]\d{1,3}|auto)$")] = None
    seed: Annotated[int | None, Field(ge=0, lt=2**62)] = None
    response_format: Literal["b64_json"] | None = None
    user: str | None = None


class ErrorBody(BaseModel):
    """What is wrong with a request."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(BaseModel):
    """The body of every error response."""

    error: ErrorBody


class TokenUsage(BaseModel):
    """Token counts, summed over all choices; image tokens count as prompt tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ResponseMessage(BaseModel):
    """The message of a choice."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ResponseImageUrl(BaseModel):
    """The data URI of an image."""

    url: str


class ResponseImagePart(BaseModel):
    """A generated image, in the same form as in a request."""

    type: Literal["image_url"] = "image_url"
    image_url: ResponseImageUrl


class MessageWithToolCalls(ResponseMessage):
    """The message of a choice that calls tools."""

    tool_calls: list[ToolCallItem]


class MessageWithImages(ResponseMessage):
    """The message of a choice whose request asked for an image."""

    images: list[ResponseImagePart]
    drawing: DrawingNote


class Choice(BaseModel):
    """One of `n` choices."""

    index: int
    message: MessageWithToolCalls | MessageWithImages | ResponseMessage
    finish_reason: ChatFinishReason
    logprobs: None = None


class ChatResponse(BaseModel):
    """A complete chat completion."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: TokenUsage


class ModelCard(BaseModel):
    """The served model."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["minigemini"] = "minigemini"
    draw: bool
    """Whether a request may ask for an image."""
    ocr: bool
    """Whether a request may ask for OCR."""
    ocr_by_default: bool = False
    """Whether OCR runs on images unless a request says otherwise."""


class ModelList(BaseModel):
    """The list of served models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class ImageData(BaseModel):
    """A base64-encoded PNG."""

    b64_json: str


class ImageResponse(BaseModel):
    """Generated images."""

    created: int
    data: list[ImageData]


class Health(BaseModel):
    """The state of the server."""

    status: Literal["ok", "unavailable"]


def stream_chunk(head: dict[str, Any], index: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    """Return one event of a stream: the delta of one choice."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
    return {**head, "object": "chat.completion.chunk", "choices": [choice]}


ERROR_DESCRIPTIONS = {
    400: "The request is invalid; `param` names the field.",
    401: "Missing or invalid API key.",
    403: "Without an API key, only requests from this machine are accepted.",
    404: "Unknown model or route.",
    408: "The body was not received in time.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    429: "The server is busy; retry after the time in Retry-After.",
    500: "Internal server error.",
    502: "A backend failed.",
    503: "No backend is reachable.",
}


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return a route's error responses for the OpenAPI document; all of them by default."""
    return {
        status: {"model": ErrorEnvelope, "description": ERROR_DESCRIPTIONS[status]}
        for status in statuses or ERROR_DESCRIPTIONS
    }


def request_body(model: type[Strict]) -> dict[str, Any]:
    """Return a route's request body for the OpenAPI document.

    FastAPI does not parse these bodies: `read_request` limits their size first, and runs in a thread.
    """
    schema = {"$ref": SCHEMA_REF.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
