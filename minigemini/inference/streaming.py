"""Streaming answers. A complete answer is an exhausted stream, so the two cannot differ."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from ..imagegen.captions import CaptionParser
from .incremental_decoding import IncrementalDecoder
from .openmp import release_openmp_threads

if TYPE_CHECKING:
    from .continuous_batching import ContinuousBatcher
    from .visual_tokens import VisualTokenCache

FinishReason = Literal["stop", "length", "stopped"]
EMPTY_ANSWER = "the answer is empty; rephrase the question"


@dataclass(frozen=True)
class Answer:
    """A complete answer."""

    text: str
    prompt_tokens: int
    """Tokens in the prompt, including visual tokens."""
    new_tokens: int
    """Generated tokens, including the end-of-turn token."""
    finish_reason: FinishReason
    """`stop`: the model ended its turn; `length`: max_new_tokens or the context was reached; `stopped`: by `stop`."""
    seconds: float
    """Time from the finished prompt to the last token."""


class AnswerStream(Iterator[str]):
    """Iterates over the pieces of an answer; joined, they are `answer.text`.

    Generation runs in a separate thread, so that the consumer can stop it with `stop` or by leaving the `with` block.
    It then ends after the current token.

    Args:
        model: Any model with Transformers' `generate`.
        tokenizer: Decodes the generated tokens.
        inputs: Inputs of one prompt, on the model's device.
        settings: Further arguments of `generate`.
        seed: Seed for this answer's generator, or for torch's global ones without a batcher; None draws from those.
        on_end: Called once with the answer, in the consumer's thread, when the stream is exhausted.
        image_requested: Whether the prompt requests an image. If not, caption tags are removed from the answer.
        continues_text: Whether the answer continues text of the prompt: all of it is shown, spaces and tags included.
        batcher: Decodes in place of `generate`'s loop, together with other requests.
        visual_tokens: Encodes the images, unless there is a batcher, which does; None leaves it to the model.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        inputs: Mapping[str, Any],
        settings: Mapping[str, Any],
        seed: int | None = None,
        on_end: Callable[[Answer], None] | None = None,
        image_requested: bool = False,
        continues_text: bool = False,
        batcher: "ContinuousBatcher | None" = None,
        visual_tokens: "VisualTokenCache | None" = None,
    ) -> None:
        self._model, self._inputs, self._settings, self._seed = model, inputs, settings, seed
        self._on_end, self._batcher, self._visual_tokens = on_end, batcher, visual_tokens
        self._queue: queue.SimpleQueue[str | Answer | Exception] = queue.SimpleQueue()
        self._streamer = _TextStreamer(tokenizer, self._queue, image_requested, continues_text)
        self._stopped = threading.Event()
        self._end: Answer | Exception | None = None
        release_openmp_threads()  # of this thread, which prepared the prompt and may wait for the answer
        # A daemon, so that the process can exit without waiting for the answer.
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
        """The complete answer; consumes the rest of the stream."""
        for _ in self:
            pass
        assert isinstance(self._end, Answer)
        return self._end

    def stop(self) -> None:
        """Stop generation; the text so far is the answer."""
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
        except Exception as error:  # noqa: BLE001 (raised in the consumer's thread)
            self._queue.put(error)

    def _generate(self) -> Answer:
        started = time.perf_counter()
        prompt_tokens = self._inputs["input_ids"].shape[1]
        tokens = self._generated_ids()[0, prompt_tokens:].tolist()
        return Answer(
            text=self._streamer.text,
            prompt_tokens=prompt_tokens,
            new_tokens=len(tokens),
            finish_reason=self._finish_reason(tokens),
            seconds=time.perf_counter() - started,
        )

    def _generated_ids(self) -> Tensor:
        """Prompt and answer, (1, length)."""
        if self._batcher is not None:
            return self._batcher.generate(
                self._inputs, self._settings, self._streamer, self._seed, self._stopped.is_set
            )
        inputs = self._inputs if self._visual_tokens is None else self._visual_tokens.encoded(self._inputs)
        if self._seed is not None:
            torch.manual_seed(self._seed)
        ids: Tensor = self._model.generate(
            **inputs,
            **self._settings,
            streamer=self._streamer,
            stopping_criteria=StoppingCriteriaList([_StopOnEvent(self._stopped)]),
        )
        return ids

    def _finish_reason(self, tokens: list[int]) -> FinishReason:
        ends = self._model.generation_config.eos_token_id
        if tokens and tokens[-1] in (ends if isinstance(ends, list) else [ends]):
            return "stop"
        return "stopped" if self._stopped.is_set() else "length"


class _StopOnEvent(StoppingCriteria):
    def __init__(self, stopped: threading.Event) -> None:
        self._stopped = stopped

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        return torch.full((input_ids.shape[0],), self._stopped.is_set(), dtype=torch.bool, device=input_ids.device)


class _TextStreamer(BaseStreamer):
    """Puts text into the queue as soon as it is final.

    Transformers' streamer decodes line by line, which with some tokenizers drops leading spaces of a line.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        pieces: "queue.SimpleQueue[str | Answer | Exception]",
        image_requested: bool,
        continues_text: bool,
    ) -> None:
        self._tag_filter = None if image_requested or continues_text else CaptionParser(requested=False)
        self._tokenizer, self._pieces, self._continues_text = tokenizer, pieces, continues_text
        self._decoder: IncrementalDecoder | None = None
        self._emitted: list[str] = []
        self._spaces: str | None = None
        """Whitespace that is shown only if text follows; None at the beginning, where none is shown."""

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._emitted)

    def put(self, value: Tensor) -> None:
        tokens = value.reshape(-1).tolist()
        if self._decoder is None:  # `generate` passes the prompt first
            # Decoders drop the leading space of a text's first token, so a text goes on from its last one.
            self._decoder = IncrementalDecoder(self._decode, tokens[-1:] if self._continues_text else ())
        else:
            self._emit_new(self._decoder.feed(tokens))

    def end(self) -> None:
        if self._decoder is not None:
            self._emit_new(self._decoder.close())
        if self._tag_filter is not None:
            self._emit(self._tag_filter.close())

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _emit_new(self, new: str) -> None:
        if not self._continues_text:
            new = new.lstrip() if self._spaces is None else self._spaces + new
            stripped = new.rstrip()
            if stripped or self._spaces is not None:
                self._spaces = new[len(stripped) :]
            new = stripped
        self._emit(new if self._tag_filter is None else self._tag_filter.feed(new))

    def _emit(self, text: str) -> None:
        if text:
            self._emitted.append(text)
            self._pieces.put(text)
