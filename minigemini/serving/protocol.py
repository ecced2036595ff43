"""What a request may say, strictly: a field that would be ignored, and so would lie, is refused by name."""

from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .api_errors import ApiError, shown
from .json_body import MAX_ITEMS, read_json


class Strict(BaseModel):
    """Takes no unknown field, no number in quotes, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    UNOFFERED: ClassVar[dict[str, str]] = {}
    """Fields that are refused, or taken with a neutral value alone, and why."""


class TextPart(Strict):
    """Words."""

    type: Literal["text"]
    text: str


class ImageUrl(Strict):
    """Where a picture is."""

    url: Annotated[str, Field(min_length=1, description="data:image/png;base64,… or, if allowed here, https://…")]
    detail: Annotated[
        Literal["auto", "low", "high"] | None, Field(description="Changes nothing: both eyes see every picture.")
    ] = None


class ImagePart(Strict):
    """A picture."""

    type: Literal["image_url"]
    image_url: ImageUrl


class SystemMessage(Strict):
    """Instructions; some checkpoints' chat formats take none."""

    role: Literal["system", "developer"]
    content: str | Annotated[list[TextPart], Field(fail_fast=True, min_length=1)]
    name: str | None = None


class UserMessage(Strict):
    """A question, with pictures or without; the pictures of a turn stand before its words."""

    role: Literal["user"]
    content: (
        str
        | Annotated[
            list[Annotated[TextPart | ImagePart, Field(discriminator="type")]],
            Field(fail_fast=True, min_length=1, max_length=MAX_ITEMS),
        ]
    )
    name: str | None = None


class DrawingNote(Strict):
    """What became of a request for a picture."""

    captions: Annotated[list[str], Field(fail_fast=True, max_length=100, description="The last one was drawn.")]
    seed: Annotated[int | None, Field(description="It draws the same picture from the same caption.")] = None
    reason: Annotated[str | None, Field(description="Why there is no picture.")] = None


class AssistantMessage(Strict):
    """What was answered before, as it came; pictures in it are shown with the next question.

    The fields that must be null are those that clients send back with an answer.
    """

    role: Literal["assistant"]
    content: str | Annotated[list[TextPart], Field(fail_fast=True, min_length=1)]
    images: Annotated[list[ImagePart], Field(fail_fast=True, max_length=100)] | None = None
    drawing: DrawingNote | None = None
    name: str | None = None
    refusal: None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None
    audio: None = None
    function_call: None = None
    tool_calls: None = None


ChatMessage = Annotated[SystemMessage | UserMessage | AssistantMessage, Field(discriminator="role")]
StopString = Annotated[str, Field(min_length=1, max_length=200)]


class StreamOptions(Strict):
    """How a stream ends."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class PlainText(Strict):
    """The one form that answers have."""

    type: Literal["text"]


class ChatRequest(Strict):
    """A conversation to be continued."""

    UNOFFERED: ClassVar[dict[str, str]] = {
        "logprobs": "log probabilities are not offered",
        "top_logprobs": "log probabilities are not offered",
        "tools": "tools are not offered",
        "functions": "tools are not offered",
        "response_format": "answers are plain text",
        "frequency_penalty": "penalties are not offered",
        "presence_penalty": "penalties are not offered",
        "logit_bias": "tokens are not biased",
        "chat_template": "the chat template is the checkpoint's own",
        "chat_template_kwargs": "the chat template is the checkpoint's own",
    }

    model: str
    messages: Annotated[list[ChatMessage], Field(fail_fast=True, min_length=1, max_length=MAX_ITEMS)]
    max_completion_tokens: Annotated[int | None, Field(ge=1, lt=2**31)] = None
    max_tokens: Annotated[int | None, Field(ge=1, lt=2**31, description="Older name of max_completion_tokens.")] = None
    temperature: Annotated[
        float | None, Field(ge=0, le=2, description="0, also where it is left out: always the likeliest token.")
    ] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    seed: Annotated[int | None, Field(ge=0, lt=2**62, description="Choice i is drawn with seed + i.")] = None
    n: Annotated[int | None, Field(ge=1, le=128)] = None
    stop: StopString | Annotated[list[StopString], Field(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    draw: Annotated[bool | None, Field(description="Ask for a picture: `images` and `drawing` in the message.")] = None
    ocr: Annotated[bool | None, Field(description="Read the writing in the pictures for the model.")] = None
    # Those that change nothing here.
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    store: bool | None = None
    service_tier: Literal["auto", "default"] | None = None
    # Those of which only the neutral value is taken.
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] | None = None
    response_format: PlainText | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: None = None
    frequency_penalty: Annotated[float | None, Field(ge=0, le=0)] = None
    presence_penalty: Annotated[float | None, Field(ge=0, le=0)] = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None


class ImageRequest(Strict):
    """A picture to be drawn."""

    model: Annotated[str | None, Field(description="The painter's name, or that of the model beside it.")] = None
    prompt: Annotated[str, Field(min_length=1, max_length=4000)]
    n: Annotated[int | None, Field(ge=1, le=10)] = None
    size: Annotated[str | None, Field(pattern=r"^([1-9]\d{1,3}x[1-9]\d{1,3}|auto)$")] = None
    seed: Annotated[int | None, Field(ge=0, lt=2**62)] = None
    response_format: Literal["b64_json"] | None = None
    user: str | None = None


REASONS = {
    "extra_forbidden": "no such field",
    "model_type": "not an object",
    "model_attributes_type": "not an object",
    "none_required": "only null is accepted",
}
"""In place of pydantic's own words, by its types: those speak of Python."""

Request = TypeVar("Request", bound=Strict)


def read_request(body: bytes, kind: type[Request], max_text_chars: int) -> Request:
    """Check a body against its schema.

    Raises:
        ApiError: 400, with one field that is wrong.
    """
    value = read_json(body, max_text_chars)
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False, include_context=False)
    first = max(errors, key=lambda error: _says_most(error, value))
    path = _path_of(first, value)
    if path and path[0] in kind.UNOFFERED:
        path, reason = path[:1], kind.UNOFFERED[path[0]]
    else:
        reason = REASONS.get(
            first["type"], first["msg"][:1].lower() + first["msg"][1:].replace(" after validation", "")
        )
    field = ".".join(map(shown, path))
    raise ApiError(400, f"{field or 'the body'}: {reason}", param=field or None, code=str(first["type"]))


def _says_most(error: Any, value: Any) -> tuple[int, bool]:
    """Of a union, the kinds that were not meant give errors too: farther out, or of a wrong type."""
    return len(_path_of(error, value)), not error["type"].endswith("_type")


def _path_of(error: Any, value: Any) -> list[str]:
    """Where an error is in what the client sent; pydantic's path names the kinds in unions too."""
    path: list[str] = []
    before: int | str | None = None
    for part in error["loc"]:
        is_kind = isinstance(before, int) and isinstance(part, str)  # a message's, or that of a part of its content
        if not is_kind and (inner := _at(value, part)) is not _NOTHING:
            path.append(str(part))
            value = inner
        before = part
    if error["type"] == "missing":
        path.append(str(error["loc"][-1]))
    return path


_NOTHING = object()


def _at(value: Any, part: int | str) -> Any:
    if isinstance(value, dict):
        return value.get(part, _NOTHING)
    return value[part] if isinstance(value, list) and isinstance(part, int) else _NOTHING
