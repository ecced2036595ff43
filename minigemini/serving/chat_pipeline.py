"""A backend with a painter and a reader at its side: strings are read before it answers, captions drawn after."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ..imagegen.captions import CaptionParser
from ..inference import GenerationSettings, RequestError
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
    Usage,
)
from .worker_thread import Check, WorkerThread

NO_CAPTION = "the answer holds no caption; ask in other words"


class ChatPipeline:
    """Answers jobs with all that they ask for.

    Args:
        backend: answers in words; what it offers beyond them it does itself where nobody here does.
        painter: draws.
        reader: reads.
    """

    def __init__(
        self, backend: Backend, image_generator: ImageBackend | None = None, reader: OcrEngine | None = None
    ) -> None:
        self.backend, self.image_generator, self.reader = backend, image_generator, reader
        self._painting, self._reading = WorkerThread("painter"), WorkerThread("reader")

    @property
    def name(self) -> str:
        """What clients call the model."""
        return self.backend.name

    async def capabilities(self) -> Capabilities:
        """What a job may ask for."""
        theirs = await self.backend.capabilities()
        return Capabilities(
            draw=theirs.draw or self.image_generator is not None, ocr=theirs.ocr or self.reader is not None
        )

    async def answer(self, job: ChatJob) -> AsyncIterator[Event]:
        """See `Backend.answer`. Of an answer with captions the text comes without them, and then what was drawn."""
        if job.ocr and self.reader is not None:
            job = await self._reading.do(lambda check: self._read(job, check))
        drawn = job.draw and self.image_generator is not None
        events: Any = self._illustrated(job) if drawn else self.backend.answer(job)
        async with aclosing(events):
            async for event in events:
                yield event

    async def draw(self, caption: str, drawing: GenerationSettings, index: int = 0) -> ImageEvent:
        """Draw one picture. Raises `RequestError`: a caption or a setting that the painter does not take."""
        image_generator = self.image_generator
        assert image_generator is not None

        def task(check: Check) -> ImageEvent:
            check()
            image = image_generator.draw(caption, drawing, progress=False, on_step=check)[0]
            return ImageEvent(index, encode_png(image.image, image.described()), image.seed)

        return await self._painting.do(task)

    async def close(self) -> None:
        """Let go of the backend and the threads."""
        self._painting.close()
        self._reading.close()
        await self.backend.close()

    async def _illustrated(self, job: ChatJob) -> AsyncIterator[Event]:
        """All text first, so that it flows, and so that the backend is free while pictures are drawn."""
        parsers = [CaptionParser() for _ in range(job.choices)]
        ends: list[ChoiceEnd] = []
        last: list[Event] = []
        answer: Any = self.backend.answer(job)
        async with aclosing(answer):
            async for event in answer:
                match event:
                    case TextDelta(index, text):
                        if shown := parsers[index].feed(text):
                            yield TextDelta(index, shown)
                    case ChoiceEnd(index):
                        if shown := parsers[index].close():
                            yield TextDelta(index, shown)
                        ends.append(event)
                    case Usage():
                        last.append(event)
        for end in ends:
            captions = tuple(parsers[end.index].captions)
            yield CaptionsEvent(end.index, captions)
            yield await self._of_last(captions, end.index, job)
            yield end
        for event in last:
            yield event

    async def _of_last(self, captions: tuple[str, ...], index: int, job: ChatJob) -> ImageEvent:
        if not captions:
            return ImageEvent(index, reason=NO_CAPTION)
        try:
            return await self.draw(captions[-1], GenerationSettings(seed=job.sampling_of(index).seed), index)
        except RequestError as error:
            return ImageEvent(index, reason=str(error))

    def _read(self, job: ChatJob, check: Check) -> ChatJob:
        """The job with the strings in its pictures, by user turn."""
        assert self.reader is not None
        strings = []
        for message in job.messages:
            if message["role"] != "user":
                continue
            read: list[str] = []
            for part in [] if isinstance(message["content"], str) else message["content"]:
                if part["type"] == "image":
                    check()
                    read += self.reader.read(part["image"])
            strings.append(tuple(read))
        return replace(job, ocr=False, strings=tuple(strings))
