"""Who answers, draws and reads: what the server asks of them, whoever they are."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from PIL import Image

from ..inference import Sampling


@dataclass(frozen=True)
class Job:
    """A request that has passed all checks, its pictures opened."""

    messages: list[dict[str, Any]]
    """In Transformers' chat format, as `Engine.stream` takes them."""
    sampling: Sampling
    choices: int = 1
    """Answers wanted; number i is drawn with seed + i."""
    stop: tuple[str, ...] = ()
    """An answer ends before the first of these."""

    def sampling_of(self, index: int) -> Sampling:
        """How choice `index` is drawn."""
        if self.sampling.seed is None:
            return self.sampling
        return self.sampling.but(seed=self.sampling.seed + index)


@dataclass(frozen=True)
class Piece:
    """What is new in a choice."""

    index: int
    text: str


@dataclass(frozen=True)
class Finished:
    """The end of a choice."""

    index: int
    reason: Literal["stop", "length"]


@dataclass(frozen=True)
class Usage:
    """The last event: tokens read and written, all choices together."""

    prompt_tokens: int
    completion_tokens: int


Event = Piece | Finished | Usage


class Backend(Protocol):
    """Answers jobs."""

    name: str
    """What clients call the model."""

    def answer(self, job: Job) -> AsyncIterator[Event]:
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

    async def close(self) -> None:
        """Let go of connections and threads."""
        ...


class Painter(Protocol):
    """Draws pictures. None is built in here: the server says so until one is given to it."""

    def paint(self, prompt: str, *, size_px: tuple[int, int] | None, seed: int | None) -> Image.Image:
        """Draw one picture; blocking, called in a thread.

        Args:
            prompt: what is to be seen.
            size_px: width and height; None: what the painter was made for.
            seed: makes it repeatable.

        Raises:
            RequestError: a size or prompt that cannot be drawn.
        """
        ...


class Reader(Protocol):
    """Reads the writing in pictures (OCR). None is built in here either."""

    def read(self, picture: Image.Image) -> Sequence[str]:
        """Give the strings in a picture; blocking, called in a thread."""
        ...
