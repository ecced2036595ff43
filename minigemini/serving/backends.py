"""Interfaces of model backends, image generators and OCR engines, and the events that a chat request produces."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from PIL import Image

from ..inference import GeneratedImage, GenerationSettings, Sampling
from ..inference.tool_calls import ToolCall


@dataclass(frozen=True)
class ChatJob:
    """A validated chat request with decoded images."""

    messages: list[dict[str, Any]]
    """In Transformers' chat format, as `Engine.stream` takes them."""
    sampling: Sampling
    choices: int = 1
    """Number of answers; choice i is sampled with seed + i."""
    stop: tuple[str, ...] = ()
    """The answer ends before the first of these strings."""
    draws: tuple[bool, ...] = ()
    """Whether an image is requested, for each user turn; empty means none."""
    ocr: bool = False
    """Whether OCR still has to run on the images."""
    ocr_texts: tuple[tuple[str, ...], ...] = ()
    """Texts that OCR found, for each user turn; empty means none."""
    continue_final_message: bool = False
    """Whether the answer continues the last message, one of the assistant."""
    prompt: str | None = None
    """A text to continue without a chat template, in place of messages."""
    tools: tuple[dict[str, Any], ...] = ()
    """Tools that the model may call, in OpenAI's form."""

    @property
    def draw(self) -> bool:
        """Whether the last turn requests an image."""
        return self.draws[-1:] == (True,)

    def sampling_of(self, index: int) -> Sampling:
        """Return the sampling settings of choice `index`."""
        if self.sampling.seed is None:
            return self.sampling
        return self.sampling.but(seed=self.sampling.seed + index)


@dataclass(frozen=True)
class TextDelta:
    """New text of a choice."""

    index: int
    text: str


@dataclass(frozen=True)
class ChoiceEnd:
    """The end of a choice."""

    index: int
    reason: Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True)
class ToolCallsEvent:
    """All tool calls of a choice, before its end."""

    index: int
    calls: tuple[ToolCall, ...]


@dataclass(frozen=True)
class CaptionsEvent:
    """The text of a choice is complete; an image of its last caption, if it has any, is generated next."""

    index: int
    captions: tuple[str, ...]


@dataclass(frozen=True)
class ImageEvent:
    """A generated image, or the reason why there is none."""

    index: int
    png: bytes = b""
    """An encoded PNG with the generation settings in its text chunks."""
    seed: int | None = None
    """The seed that was used."""
    reason: str | None = None


@dataclass(frozen=True)
class Usage:
    """The last event: token counts, summed over all choices."""

    prompt_tokens: int
    completion_tokens: int


Event = TextDelta | CaptionsEvent | ImageEvent | ToolCallsEvent | ChoiceEnd | Usage


@dataclass(frozen=True)
class Capabilities:
    """What a request may have besides text and images, by the names of the request's fields."""

    draw: bool = False
    ocr: bool = False
    ocr_by_default: bool = False
    """Whether OCR runs on images unless a request says otherwise: the model was trained with layouts."""
    tools: bool = False
    videos: bool = False


NO_VIDEOS = "this server's backend takes no videos; send frames as images"


class Backend(Protocol):
    """A language model that answers chat jobs."""

    name: str
    """The model name that clients use."""

    def answer(self, job: ChatJob) -> AsyncIterator[Event]:
        """Yield the text of all choices, the end of each choice, and the usage.

        Cancelling the consumer stops the model; the cancellation completes only after the model has stopped.

        Raises:
            RequestError: the job cannot be answered, e.g. it exceeds the context length.
            ApiError: the model cannot be reached.
        """
        ...

    async def is_ready(self) -> bool:
        """Return whether the backend can answer a request now."""
        ...

    async def capabilities(self) -> Capabilities:
        """Return what the backend itself offers besides text."""
        ...

    async def close(self) -> None:
        """Release connections and threads."""
        ...


class ImageBackend(Protocol):
    """A text-to-image model; `inference.ImageGenerator` is one."""

    name: str
    """The model name that clients use."""

    def draw(
        self,
        caption: str,
        drawing: GenerationSettings,
        *,
        progress: bool | None,
        on_step: Callable[[], object] | None,
    ) -> list[GeneratedImage]:
        """Generate an image of a caption. Blocking; called in a thread, one image at a time.

        Args:
            caption: what the image should show.
            drawing: size, seed and steps.
            progress: always False; a server shows no progress bar.
            on_step: called at each point where generation can stop; an exception from it stops generation.

        Raises:
            RequestError: the model does not support the size or the caption.
        """
        ...


class OcrEngine(Protocol):
    """Recognizes text in images; `inference.ocr.RapidOcrEngine` is one."""

    ocr_format: str
    """One of `OCR_FORMATS`."""

    def read(self, image: Image.Image) -> Sequence[str]:
        """Return the texts in an image. Blocking; called in a thread, one image at a time."""
        ...
