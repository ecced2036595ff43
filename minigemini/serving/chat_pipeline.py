"""Combines a backend with OCR and image generation: OCR runs before the model answers, image generation after."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from ..imagegen.captions import CaptionParser
from ..inference import GenerationSettings, RequestError
from ..inference.ocr import read_user_turns
from ..inference.tool_calls import ToolCallParser
from ..io.png import encode_png
from .backends import (
    Backend,
    Capabilities,
    CaptionsEvent,
    ChatJob,
    ChoiceEnd,
    Event,
    ImageBackend,
    ImageEvent,
    OcrEngine,
    TextDelta,
    ToolCallsEvent,
    Usage,
)

NO_CAPTION = "the answer has no image caption; rephrase the request"

T = TypeVar("T")
CheckCancelled = Callable[[], None]
"""Raises `CancelledWorkError` if the result is no longer needed."""


class ChatPipeline:
    """Answers chat jobs, with OCR and image generation where a job requests them.

    Args:
        backend: the language model; it may do OCR or image generation itself if the pipeline does not.
        image_generator: generates images from captions.
        ocr_engine: recognizes text in images.
    """

    def __init__(
        self, backend: Backend, image_generator: ImageBackend | None = None, ocr_engine: OcrEngine | None = None
    ) -> None:
        self.backend, self.image_generator, self.ocr_engine = backend, image_generator, ocr_engine
        self._image_thread, self._ocr_thread = WorkerThread("image-generator"), WorkerThread("ocr")

    @property
    def name(self) -> str:
        """The model name that clients use."""
        return self.backend.name

    async def capabilities(self) -> Capabilities:
        """Return what a job may request besides text."""
        backend = await self.backend.capabilities()
        return Capabilities(
            draw=backend.draw or self.image_generator is not None,
            ocr=backend.ocr or self.ocr_engine is not None,
            ocr_by_default=backend.ocr_by_default or self.ocr_by_default,
            tools=backend.tools,
            videos=backend.videos,
        )

    @property
    def ocr_by_default(self) -> bool:
        """Whether OCR runs on images unless a job says otherwise."""
        return self.ocr_engine is not None and self.ocr_engine.ocr_format == "layout"

    async def answer(self, job: ChatJob) -> AsyncIterator[Event]:
        """Yield the events of a job as `Backend.answer` does, with captions removed from the text."""
        if job.ocr and self.ocr_engine is not None:
            job = await self._ocr_thread.run(lambda check: self._with_ocr_texts(job, check))
        generates = job.draw and self.image_generator is not None
        events: Any = self._answer_with_images(job) if generates else self.backend.answer(job)
        if job.tools:
            events = _with_tool_calls(events, job.choices)
        async with aclosing(events):
            async for event in events:
                yield event

    async def draw(self, caption: str, drawing: GenerationSettings, index: int = 0) -> ImageEvent:
        """Generate one image.

        Raises:
            RequestError: the image generator does not support the caption or a setting.
        """
        image_generator = self.image_generator
        assert image_generator is not None

        def generate(check: CheckCancelled) -> ImageEvent:
            check()
            image = image_generator.draw(caption, drawing, progress=False, on_step=check)[0]
            return ImageEvent(index, encode_png(image.image, image.described()), image.seed)

        return await self._image_thread.run(generate)

    async def close(self) -> None:
        """Release the backend and the threads."""
        self._image_thread.close()
        self._ocr_thread.close()
        await self.backend.close()

    async def _answer_with_images(self, job: ChatJob) -> AsyncIterator[Event]:
        """Yield all text first: it streams without pauses, and the backend is free while images are generated."""
        parsers = [CaptionParser() for _ in range(job.choices)]
        ends: list[ChoiceEnd] = []
        usage: list[Event] = []
        answer: Any = self.backend.answer(job)
        async with aclosing(answer):
            async for event in answer:
                match event:
                    case TextDelta(index, delta):
                        if text := parsers[index].feed(delta):
                            yield TextDelta(index, text)
                    case ChoiceEnd(index):
                        if text := parsers[index].close():
                            yield TextDelta(index, text)
                        ends.append(event)
                    case Usage():
                        usage.append(event)
        for end in ends:
            captions = tuple(parsers[end.index].captions)
            yield CaptionsEvent(end.index, captions)
            yield await self._draw_last_caption(captions, end.index, job)
            yield end
        for event in usage:
            yield event

    async def _draw_last_caption(self, captions: tuple[str, ...], index: int, job: ChatJob) -> ImageEvent:
        if not captions:
            return ImageEvent(index, reason=NO_CAPTION)
        try:
            return await self.draw(captions[-1], GenerationSettings(seed=job.sampling_of(index).seed), index)
        except RequestError as error:
            return ImageEvent(index, reason=str(error))

    def _with_ocr_texts(self, job: ChatJob, check: CheckCancelled) -> ChatJob:
        """Return the job with the texts in its images, by user turn."""
        assert self.ocr_engine is not None
        turns = read_user_turns(job.messages, self.ocr_engine, check)
        return replace(job, ocr=False, ocr_texts=tuple(map(tuple, turns)))


async def _with_tool_calls(events: Any, choices: int) -> AsyncIterator[Event]:
    """Move tool calls out of the text of an answer."""
    parsers = [ToolCallParser() for _ in range(choices)]
    async with aclosing(events):
        async for event in events:
            match event:
                case TextDelta(index, delta):
                    if text := parsers[index].feed(delta):
                        yield TextDelta(index, text)
                case ChoiceEnd(index):
                    if text := parsers[index].close():
                        yield TextDelta(index, text)
                    calls = tuple(parsers[index].calls)
                    if calls:
                        yield ToolCallsEvent(index, calls)
                    yield ChoiceEnd(index, "tool_calls") if calls and event.reason == "stop" else event
                case _:
                    yield event


class CancelledWorkError(Exception):
    """The result of blocking work is no longer needed."""


class WorkerThread:
    """A single thread for blocking work that must not run concurrently.

    Args:
        name: suffix of the thread's name.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"minigemini-{name}")

    async def run(self, work: Callable[[CheckCancelled], T]) -> T:
        """Run `work` in the thread and return its result; a cancellation completes only after the thread has stopped.

        Args:
            work: called with a function that it calls wherever it can stop.
        """
        cancelled = threading.Event()

        def check() -> None:
            if cancelled.is_set():
                raise CancelledWorkError

        future = self._thread.submit(work, check)
        result = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(result)
        finally:
            cancelled.set()
            if not future.cancel():  # already running
                await asyncio.wait([result])
                result.exception()  # retrieve it, or asyncio logs "exception was never retrieved"

    def close(self) -> None:
        """Stop the thread after its current work."""
        self._thread.shutdown(wait=False, cancel_futures=True)
