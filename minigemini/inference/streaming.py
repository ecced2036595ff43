"""An answer while it is written. A whole answer is a stream read to its end, so the two cannot differ."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from ..imagegen.captions import CaptionParser

FinishReason = Literal["stop", "length", "stopped"]
EMPTY_ANSWER = "the answer is empty; ask in other words"


@dataclass(frozen=True)
class Answer:
    """What the model said."""

    text: str
    prompt_tokens: int
    """Tokens read, visual ones included."""
    new_tokens: int
    """Tokens written, the end-of-turn token included."""
    finish_reason: FinishReason
    """`stop`: the model ended its turn · `length`: max_new_tokens or the context is full · `stopped`: by the caller."""
    seconds: float
    """From the finished prompt to the last token."""


class AnswerStream(Iterator[str]):
    """The pieces of an answer; joined, they are `answer.text`.

    Generation runs in a thread of its own, so that the reader can stop it: by `stop`, or by leaving the `with` block.
    It ends after the token that is being computed.

    Args:
        model: anything with Transformers' `generate`.
        tokenizer: turns its tokens into text.
        inputs: of one prompt, on the model's device.
        settings: further arguments of `generate`.
        seed: of torch's global generators, or None to leave them alone.
        on_end: called once with the answer, in the reader's thread, when the stream has been read to its end.
        drawn: whether a picture was asked for: only then has the answer captions, and the tags around them.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        inputs: Mapping[str, Any],
        settings: Mapping[str, Any],
        seed: int | None = None,
        on_end: Callable[[Answer], None] | None = None,
        drawn: bool = False,
    ) -> None:
        self._model, self._inputs, self._settings, self._seed = model, inputs, settings, seed
        self._on_end = on_end
        self._queue: queue.SimpleQueue[str | Answer | Exception] = queue.SimpleQueue()
        self._writer = _PieceWriter(tokenizer, self._queue, drawn)
        self._stopped = threading.Event()
        self._end: Answer | Exception | None = None
        # A daemon, so that a program that is told to end does not wait for the answer.
        self._thread = threading.Thread(target=self._run, name="minigemini-answer", daemon=True)
        self._thread.start()

    def __next__(self) -> str:
        if self._end is None:
            item = self._queue.get()
            if isinstance(item, str):
                return item
            self._end = item
            self._thread.join()
            if isinstance(item, Answer) and self._on_end is not None:
                self._on_end(item)
        if isinstance(self._end, Exception):
            raise self._end
        raise StopIteration

    @property
    def answer(self) -> Answer:
        """The answer; reads what is left of the stream."""
        for _ in self:
            pass
        assert isinstance(self._end, Answer)
        return self._end

    def stop(self) -> None:
        """End the answer here; what has been said is the answer."""
        self._stopped.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
        if self._end is None:
            for _ in self:
                pass

    def _run(self) -> None:
        try:
            self._queue.put(self._generate())
        except Exception as error:  # noqa: BLE001 (it is raised in the reader's thread)
            self._queue.put(error)

    def _generate(self) -> Answer:
        started = time.perf_counter()
        if self._seed is not None:
            torch.manual_seed(self._seed)
        prompt_tokens = self._inputs["input_ids"].shape[1]
        tokens = self._model.generate(
            **self._inputs,
            **self._settings,
            streamer=self._writer,
            stopping_criteria=StoppingCriteriaList([_StopWhen(self._stopped)]),
        )[0, prompt_tokens:].tolist()
        return Answer(
            text=self._writer.text,
            prompt_tokens=prompt_tokens,
            new_tokens=len(tokens),
            finish_reason=self._why_finished(tokens),
            seconds=time.perf_counter() - started,
        )

    def _why_finished(self, tokens: list[int]) -> FinishReason:
        ends = self._model.generation_config.eos_token_id
        if tokens and tokens[-1] in (ends if isinstance(ends, list) else [ends]):
            return "stop"
        return "stopped" if self._stopped.is_set() else "length"


class _StopWhen(StoppingCriteria):
    def __init__(self, stopped: threading.Event) -> None:
        self._stopped = stopped

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        return torch.full((input_ids.shape[0],), self._stopped.is_set(), dtype=torch.bool, device=input_ids.device)


class _PieceWriter(BaseStreamer):
    """Puts text into the queue as soon as it cannot change any more.

    Transformers' own streamer decodes line by line, and some tokenizers then drop the spaces that begin a line. This
    one decodes the whole answer each time and passes on what is new.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        pieces: "queue.SimpleQueue[str | Answer | Exception]",
        drawn: bool,
    ) -> None:
        self.text = ""
        self._read = ""  # what has been decoded
        self._untagged = None if drawn else CaptionParser(asked=False)
        self._tokenizer, self._pieces = tokenizer, pieces
        self._tokens: list[int] = []
        self._prompt_seen = False

    def put(self, value: Tensor) -> None:
        if not self._prompt_seen:  # `generate` hands over the prompt first
            self._prompt_seen = True
            return
        self._tokens += value.reshape(-1).tolist()
        text = self._decoded()
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):  # the first bytes of a character that is not complete yet
            self._pass_on(text)

    def end(self) -> None:
        self._pass_on(self._decoded())
        if self._untagged is not None:
            self._say(self._untagged.close())

    def _decoded(self) -> str:
        text = self._tokenizer.decode(self._tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text).strip()

    def _pass_on(self, text: str) -> None:
        new = text[len(self._read) :]
        self._read += new
        self._say(new if self._untagged is None else self._untagged.feed(new))

    def _say(self, text: str) -> None:
        if text:
            self.text += text
            self._pieces.put(text)
