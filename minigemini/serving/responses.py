"""What answers look like, as OpenAI's clients read them."""

from typing import Any, Literal

from pydantic import BaseModel

from .protocol import DrawingNote

Reason = Literal["stop", "length"]


class ErrorBody(BaseModel):
    """What was wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(BaseModel):
    """Every answer that is an error."""

    error: ErrorBody


class TokenUsage(BaseModel):
    """Tokens of all choices together; those of the pictures count as read."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ResponseMessage(BaseModel):
    """One answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ResponseImageUrl(BaseModel):
    """Where a picture is: in a data URI."""

    url: str


class ResponseImagePart(BaseModel):
    """A picture, in the form in which one is sent."""

    type: Literal["image_url"] = "image_url"
    image_url: ResponseImageUrl


class MessageWithImages(ResponseMessage):
    """One answer to a request for a picture."""

    images: list[ResponseImagePart]
    drawing: DrawingNote


class Choice(BaseModel):
    """One of `n` answers."""

    index: int
    message: MessageWithImages | ResponseMessage
    finish_reason: Reason
    logprobs: None = None


class ChatResponse(BaseModel):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: TokenUsage


class ModelCard(BaseModel):
    """A model that is served."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["minigemini"] = "minigemini"
    draw: bool
    """Whether a request may ask for a picture."""
    ocr: bool
    """Whether a request may ask for the writing in pictures to be read."""


class ModelList(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class ImageData(BaseModel):
    """A PNG in base64."""

    b64_json: str


class ImageResponse(BaseModel):
    """Pictures that were drawn."""

    created: int
    data: list[ImageData]


class Health(BaseModel):
    """Whether requests are answered."""

    status: Literal["ok", "unavailable"]


def chunk(head: dict[str, Any], index: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    """One event of a stream: what is new in one choice."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
    return {**head, "object": "chat.completion.chunk", "choices": [choice]}
