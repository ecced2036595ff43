"""Backend that runs an engine in this process, for several requests at once or for one at a time."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ..inference import AnswerStream, Engine
from ..inference.continuous_batching import ContinuousBatcher
from ..inference.slot_cache import unable_to_join
from .backends import Capabilities, ChatJob, ChoiceEnd, Event, TextDelta, Usage
from .server_settings import MAX_BATCH_TOKENS

log = logging.getLogger("minigemini.serving")


class EngineBackend:
    """Answers with an engine in threads.

    Args:
        engine: a loaded engine.
        name: the model name that clients use.
        rows: requests that are answered at once; models whose requests cannot be joined answer one at a time.
        max_tokens: limit on the memory of the joined requests, see `ContinuousBatcher`.
    """

    def __init__(self, engine: Engine, name: str, rows: int = 1, max_tokens: int = MAX_BATCH_TOKENS) -> None:
        self.engine, self.name = engine, name
        if rows > 1 and (reason := unable_to_join(engine.model)):
            log.warning("%s answers one request at a time: %s", name, reason)
            rows = 1
        self.rows = rows
        self.batcher = ContinuousBatcher(engine.model, rows, max_tokens) if rows > 1 else None
        # Without a batcher one thread, because seeds set torch's generators, which are global to the process.
        self._threads = ThreadPoolExecutor(rows, thread_name_prefix="minigemini-serving")
        self._preparing = threading.Lock()

    async def answer(self, job: ChatJob) -> AsyncIterator[Event]:
        """Implement `Backend.answer`."""
        loop, events = asyncio.get_running_loop(), asyncio.Queue[Event | None]()
        run = _EngineRun(self, job, lambda event: loop.call_soon_threadsafe(events.put_nowait, event))
        done = loop.run_in_executor(self._threads, run)
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
        """Stop the threads after their current work."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self.batcher is not None:
            self.batcher.close()

    def start(self, job: ChatJob, index: int) -> AnswerStream:
        """Start choice `index` of a job. Prompts are prepared one at a time: tokenizers are not made for threads."""
        sampling = job.sampling_of(index)
        with self._preparing:
            if job.prompt is not None:
                return self.engine.complete(job.prompt, sampling, self.batcher)
            return self.engine.stream(
                job.messages,
                sampling,
                draw=job.draws or False,
                ocr=job.ocr_texts,
                continue_final_message=job.continue_final_message,
                tools=job.tools,
                batcher=self.batcher,
            )


class _EngineRun:
    """Runs one job in one of the backend's threads."""

    def __init__(self, backend: EngineBackend, job: ChatJob, emit: Callable[[Event], object]) -> None:
        self._backend, self._job, self._emit = backend, job, emit
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
            with self._backend.start(self._job, index) as stream:
                self._stream = stream
                if self._stopped:  # stop() ran before there was a stream
                    stream.stop()
                stopped_by_string = self._emit_text(index, stream)
                answer = stream.answer
            prompt_tokens, completion_tokens = answer.prompt_tokens, completion_tokens + answer.new_tokens
            ended = stopped_by_string or answer.finish_reason == "stop"
            self._emit(ChoiceEnd(index, "stop" if ended else "length"))
        self._emit(Usage(prompt_tokens, completion_tokens))

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
