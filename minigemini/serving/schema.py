"""What a request may say, strictly: a field that would be ignored, and so would lie, is refused by name."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import ApiError

UNOFFERED = {
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
"""What clients of OpenAI's API may ask for and do not get, and why."""


class Strict(BaseModel):
    """Takes no unknown field, no number in quotes, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


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
    content: str | Annotated[list[TextPart], Field(min_length=1)]
    name: str | None = None


class UserMessage(Strict):
    """A question, with pictures or without; the pictures of a turn stand before its words."""

    role: Literal["user"]
    content: (
        str
        | Annotated[
            list[Annotated[TextPart | ImagePart, Field(discriminator="type")]], Field(min_length=1, max_length=1000)
        ]
    )
    name: str | None = None


class DrawingNote(Strict):
    """What became of a request for a picture."""

    captions: Annotated[list[str], Field(max_length=100, description="The last one was drawn.")]
    seed: Annotated[int | None, Field(description="It draws the same picture from the same caption.")] = None
    reason: Annotated[str | None, Field(description="Why there is no picture.")] = None


class AssistantMessage(Strict):
    """What was answered before, as it came; pictures in it are shown with the next question.

    The fields that must be null are those that clients send back with an answer.
    """

    role: Literal["assistant"]
    content: str | Annotated[list[TextPart], Field(min_length=1)]
    images: Annotated[list[ImagePart], Field(max_length=100)] | None = None
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

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=1000)]
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None
    max_tokens: Annotated[int | None, Field(ge=1, description="Older name of max_completion_tokens.")] = None
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
    metadata: dict[str, str] | None = None
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


Request = TypeVar("Request", bound=Strict)


def read_request(body: bytes, kind: type[Request]) -> Request:
    """Check a body against its schema; pydantic's parser bounds how deep it nests.

    Raises:
        ApiError: 400, with the first field that is wrong.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        # The one farthest in: of a union, the errors of the kinds that were not meant stay at the front.
        first = max(error.errors(include_url=False, include_input=False, include_context=False), key=_depth)
    field = ".".join(_fields(first["loc"]))
    reason = UNOFFERED.get(field, first["msg"][:1].lower() + first["msg"][1:])
    raise ApiError(400, f"{field or 'the body'}: {reason}"[:500], param=field or None, code=str(first["type"]))


def _depth(error: Any) -> int:
    return len(error["loc"])


def _fields(path: Sequence[int | str]) -> list[str]:
    """The fields and indices of a path, without the names of kinds in unions: those after an index, and annotations."""
    named = []
    for before, part in pairwise((None, *path)):
        if isinstance(part, int) or (part and not isinstance(before, int) and part != "str" and "[" not in part):
            named.append(str(part))
    return named
