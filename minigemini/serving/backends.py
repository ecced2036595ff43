"""Who answers, draws and reads: what the server asks of them, whoever they are."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from PIL import Image

from ..inference import GeneratedImage, GenerationSettings, Sampling


@dataclass(frozen=True)
class ChatJob:
    """A request that has passed all checks, its pictures opened."""

    messages: list[dict[str, Any]]
    """In Transformers' chat format, as `Engine.stream` takes them."""
    sampling: Sampling
    choices: int = 1
    """Answers wanted; number i is drawn with seed + i."""
    stop: tuple[str, ...] = ()
    """An answer ends before the first of these."""
    draws: tuple[bool, ...] = ()
    """Whether a picture is asked for, for each user turn; empty: in none."""
    ocr: bool = False
    """Whether the strings in the pictures are still to be read."""
    strings: tuple[tuple[str, ...], ...] = ()
    """Those that were read, for each user turn; empty: in none."""

    @property
    def draw(self) -> bool:
        """Whether the answer is to have a picture."""
        return self.draws[-1:] == (True,)

    def sampling_of(self, index: int) -> Sampling:
        """How choice `index` is drawn."""
        if self.sampling.seed is None:
            return self.sampling
        return self.sampling.but(seed=self.sampling.seed + index)


@dataclass(frozen=True)
class TextDelta:
    """What is new in a choice."""

    index: int
    text: str


@dataclass(frozen=True)
class ChoiceEnd:
    """The end of a choice."""

    index: int
    reason: Literal["stop", "length"]


@dataclass(frozen=True)
class CaptionsEvent:
    """The text of a choice is over; the last of its captions, if there are any, is about to be drawn."""

    index: int
    captions: tuple[str, ...]


@dataclass(frozen=True)
class ImageEvent:
    """What became of it: a picture, or the reason why there is none."""

    index: int
    png: bytes = b""
    """A file, what the picture was drawn from in its text chunks."""
    seed: int | None = None
    """The one that it was drawn with."""
    reason: str | None = None


@dataclass(frozen=True)
class Usage:
    """The last event: tokens read and written, all choices together."""

    prompt_tokens: int
    completion_tokens: int


Event = TextDelta | CaptionsEvent | ImageEvent | ChoiceEnd | Usage


@dataclass(frozen=True)
class Capabilities:
    """What can be asked for besides words, by the names of the request's fields."""

    draw: bool = False
    ocr: bool = False


class Backend(Protocol):
    """Answers jobs."""

    name: str
    """What clients call the model."""

    def answer(self, job: ChatJob) -> AsyncIterator[Event]:
        """Give the pieces of all choices, the end of each, and the usage.

        Cancelling whoever reads stops the model; the cancellation has passed through only when the model is done.

        Raises:
            RequestError: what is asked for cannot be answered.
            ApiError: the model cannot be reached.
        """
        ...

    async def is_ready(self) -> bool:
        """Whether a request would be answered now."""
        ...

    async def capabilities(self) -> Capabilities:
        """What it does by itself besides answering."""
        ...

    async def close(self) -> None:
        """Let go of connections and threads."""
        ...


class ImageBackend(Protocol):
    """Draws pictures; `inference.Painter` is one."""

    name: str
    """What clients call it."""

    def draw(
        self,
        caption: str,
        drawing: GenerationSettings,
        *,
        progress: bool | None,
        on_step: Callable[[], object] | None,
    ) -> list[GeneratedImage]:
        """Draw a caption; blocking, called in a thread, one picture at a time.

        Args:
            caption: what is to be seen.
            drawing: how.
            progress: False, since nobody watches.
            on_step: called as often as the drawing can end early; what it raises ends it.

        Raises:
            RequestError: a size or caption that cannot be drawn.
        """
        ...


class OcrEngine(Protocol):
    """Reads the writing in pictures (OCR); `inference.ocr.TextReader` is one."""

    def read(self, image: Image.Image) -> Sequence[str]:
        """Give the strings in a picture; blocking, called in a thread, one picture at a time."""
        ...
