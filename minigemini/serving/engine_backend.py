"""Backend that runs an engine in this process, one request at a time: seeds stay exact and memory use predictable."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ..inference import AnswerStream, Engine
from .backends import Capabilities, ChatJob, ChoiceEnd, Event, TextDelta, Usage


class EngineBackend:
    """Answers with an engine in a thread.

    Args:
        engine: a loaded engine.
        name: the model name that clients use.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine, self.name = engine, name
        # One thread, because seeds set torch's generators, which are global to the process.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="minigemini-serving")

    async def answer(self, job: ChatJob) -> AsyncIterator[Event]:
        """Implement `Backend.answer`."""
        loop, events = asyncio.get_running_loop(), asyncio.Queue[Event | None]()
        run = _EngineRun(self.engine, job, lambda event: loop.call_soon_threadsafe(events.put_nowait, event))
        done = loop.run_in_executor(self._thread, run)
        done.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            await done
        finally:
            run.stop()
            await asyncio.wait([done])

    async def is_ready(self) -> bool:
        """Return True: the engine is loaded."""
        return True

    async def capabilities(self) -> Capabilities:
        """Return whether the chat format has tools; the engine takes videos and produces text only."""
        return Capabilities(tools=self.engine.prompts.supports_tools, videos=True)

    async def close(self) -> None:
        """Stop the thread after its current work."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class _EngineRun:
    """Runs one job in the engine's thread."""

    def __init__(self, engine: Engine, job: ChatJob, emit: Callable[[Event], object]) -> None:
        self._engine, self._job, self._emit = engine, job, emit
        self._stopped = False
        self._stream: AnswerStream | None = None

    def stop(self) -> None:
        """Stop after the current token. Safe to call from any thread."""
        self._stopped = True
        if self._stream is not None:
            self._stream.stop()

    def __call__(self) -> None:
        """Generate all choices in order."""
        prompt_tokens = completion_tokens = 0
        for index in range(self._job.choices):
            if self._stopped:
                return
            with self._start(index) as stream:
                self._stream = stream
                if self._stopped:  # stop() ran before there was a stream
                    stream.stop()
                stopped_by_string = self._emit_text(index, stream)
                answer = stream.answer
            prompt_tokens, completion_tokens = answer.prompt_tokens, completion_tokens + answer.new_tokens
            ended = stopped_by_string or answer.finish_reason == "stop"
            self._emit(ChoiceEnd(index, "stop" if ended else "length"))
        self._emit(Usage(prompt_tokens, completion_tokens))

    def _start(self, index: int) -> AnswerStream:
        job, sampling = self._job, self._job.sampling_of(index)
        if job.prompt is not None:
            return self._engine.complete(job.prompt, sampling)
        return self._engine.stream(
            job.messages,
            sampling,
            draw=job.draws or False,
            ocr=job.ocr_texts,
            continue_final_message=job.continue_final_message,
            tools=job.tools,
        )

    def _emit_text(self, index: int, stream: AnswerStream) -> bool:
        """Emit the text of a choice; return whether a stop string ended it."""
        stops = StopStrings(self._job.stop)
        for piece in stream:
            if text := stops.feed(piece):
                self._emit(TextDelta(index, text))
            if stops.hit:
                stream.stop()
                return True
        if text := stops.flush():
            self._emit(TextDelta(index, text))
        return False


class StopStrings:
    """Ends a text before the first stop string, including one that spans several pieces.

    Attributes:
        hit: whether a stop string occurred; all later text is dropped.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.hit = False

    def feed(self, piece: str) -> str:
        """Add a piece and return the text that is certain not to be part of a stop string."""
        if self.hit:
            return ""
        text = self._held + piece
        found = [position for stop in self._stops if (position := text.find(stop)) >= 0]
        if found:
            self.hit, self._held = True, ""
            return text[: min(found)]
        held = max((n for stop in self._stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)
        released, self._held = text[: len(text) - held], text[len(text) - held :]
        return released

    def flush(self) -> str:
        """Return the text that was held back, at the end of the input."""
        held, self._held = self._held, ""
        return held
