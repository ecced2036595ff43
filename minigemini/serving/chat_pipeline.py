"""A backend with a painter and a reader at its side: strings are read before it answers, captions drawn after."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from ..imagegen.captions import CaptionParser
from ..inference import Drawing, RequestError
from ..io.png import encode_png
from .backends import Backend, Captioned, Drawn, Event, Finished, Job, Offers, Painter, Piece, Reader, Usage
from .worker_thread import Aside, Check

NO_CAPTION = "the answer holds no caption; ask in other words"


class Studio:
    """Answers jobs with all that they ask for.

    Args:
        backend: answers in words; what it offers beyond them it does itself where nobody here does.
        painter: draws.
        reader: reads.
    """

    def __init__(self, backend: Backend, painter: Painter | None = None, reader: Reader | None = None) -> None:
        self.backend, self.painter, self.reader = backend, painter, reader
        self._painting, self._reading = Aside("painter"), Aside("reader")

    @property
    def name(self) -> str:
        """What clients call the model."""
        return self.backend.name

    async def offers(self) -> Offers:
        """What a job may ask for."""
        theirs = await self.backend.offers()
        return Offers(draw=theirs.draw or self.painter is not None, ocr=theirs.ocr or self.reader is not None)

    async def answer(self, job: Job) -> AsyncIterator[Event]:
        """See `Backend.answer`. Of an answer with captions the text comes without them, and then what was drawn."""
        if job.ocr and self.reader is not None:
            job = await self._reading.do(lambda check: self._read(job, check))
        drawn = job.draw and self.painter is not None
        events: Any = self._illustrated(job) if drawn else self.backend.answer(job)
        async with aclosing(events):
            async for event in events:
                yield event

    async def draw(self, caption: str, drawing: Drawing, index: int = 0) -> Drawn:
        """Draw one picture. Raises `RequestError`: a caption or a setting that the painter does not take."""
        painter = self.painter
        assert painter is not None

        def work(check: Check) -> Drawn:
            check()
            picture = painter.draw(caption, drawing, progress=False, on_step=check)[0]
            return Drawn(index, encode_png(picture.image, picture.described()), picture.seed)

        return await self._painting.do(work)

    async def close(self) -> None:
        """Let go of the backend and the threads."""
        self._painting.close()
        self._reading.close()
        await self.backend.close()

    async def _illustrated(self, job: Job) -> AsyncIterator[Event]:
        """All text first, so that it flows, and so that the backend is free while pictures are drawn."""
        parsers = [CaptionParser() for _ in range(job.choices)]
        ends: list[Finished] = []
        last: list[Event] = []
        answer: Any = self.backend.answer(job)
        async with aclosing(answer):
            async for event in answer:
                match event:
                    case Piece(index, text):
                        if shown := parsers[index].feed(text):
                            yield Piece(index, shown)
                    case Finished(index):
                        if shown := parsers[index].close():
                            yield Piece(index, shown)
                        ends.append(event)
                    case Usage():
                        last.append(event)
        for end in ends:
            captions = tuple(parsers[end.index].captions)
            yield Captioned(end.index, captions)
            yield await self._of_last(captions, end.index, job)
            yield end
        for event in last:
            yield event

    async def _of_last(self, captions: tuple[str, ...], index: int, job: Job) -> Drawn:
        if not captions:
            return Drawn(index, reason=NO_CAPTION)
        try:
            return await self.draw(captions[-1], Drawing(seed=job.sampling_of(index).seed), index)
        except RequestError as error:
            return Drawn(index, reason=str(error))

    def _read(self, job: Job, check: Check) -> Job:
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
