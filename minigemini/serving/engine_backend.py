"""The engine of this process as a backend. One request at a time: seeds stay exact, and memory is known."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

from ..inference import AnswerStream, Engine
from .backends import Capabilities, ChatJob, ChoiceEnd, Event, TextDelta, Usage
from .stop_strings import StopStrings


class EngineBackend:
    """Answers with an engine, in a thread.

    Args:
        engine: loaded.
        name: what clients call it.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine, self.name = engine, name
        # One thread: torch's generators, which seeds set, are the process's.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="minigemini-serving")

    async def answer(self, job: ChatJob) -> AsyncIterator[Event]:
        """See `Backend.answer`."""
        loop, events = asyncio.get_running_loop(), asyncio.Queue[Event | None]()
        worker = _Worker(self.engine, job, lambda event: loop.call_soon_threadsafe(events.put_nowait, event))
        done = loop.run_in_executor(self._thread, worker.run)
        done.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            await done
        finally:
            worker.stop()
            await asyncio.wait([done])

    async def is_ready(self) -> bool:
        """Always: it is here."""
        return True

    async def capabilities(self) -> Capabilities:
        """Words alone."""
        return Capabilities()

    async def close(self) -> None:
        """End the thread once it is idle."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class _Worker:
    """What the thread does for one job."""

    def __init__(self, engine: Engine, job: ChatJob, put: Callable[[Event], object]) -> None:
        self._engine, self._job, self._put = engine, job, put
        self._stopped = False
        self._stream: AnswerStream | None = None

    def stop(self) -> None:
        """End after the token that is being computed; callable from any thread."""
        self._stopped = True
        if self._stream is not None:
            self._stream.stop()

    def run(self) -> None:
        """Answer all choices one after the other."""
        read = written = 0
        for index in range(self._job.choices):
            if self._stopped:
                return
            job = self._job
            with self._engine.stream(
                job.messages, job.sampling_of(index), draw=job.draws or False, ocr=job.strings
            ) as stream:
                self._stream = stream
                if self._stopped:  # in between, when there was no stream to stop yet
                    stream.stop()
                stopped_by_string = self._pass_on(index, stream)
                answer = stream.answer
            read, written = answer.prompt_tokens, written + answer.new_tokens
            ended = stopped_by_string or answer.finish_reason == "stop"
            self._put(ChoiceEnd(index, "stop" if ended else "length"))
        self._put(Usage(read, written))

    def _pass_on(self, index: int, stream: AnswerStream) -> bool:
        """Put the pieces; True if a stop string ended them."""
        stops = StopStrings(self._job.stop)
        for piece in stream:
            if text := stops.feed(piece):
                self._put(TextDelta(index, text))
            if stops.hit:
                stream.stop()
                return True
        if text := stops.rest():
            self._put(TextDelta(index, text))
        return False
