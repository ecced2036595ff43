"""Continuous batching: one thread owns the model, and requests join and leave its batch between tokens.

`generate` prepares each request (settings, logits processors, stopping criteria, checks) and calls `custom_generate` in
place of its own loop. Here that function queues the request for the thread and waits for its tokens, so the settings
mean what they mean to a request alone. Transformers' own continuous batching (`generate_batch`) is not used: it takes
token ids without images and one seed for all requests, and lets only temperature, top_k and top_p differ between them.
"""

import atexit
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from transformers import DynamicCache, EosTokenCriteria, MaxLengthCriteria, StoppingCriteria

from ..modeling.outputs import CACHE
from .slot_cache import PrefixStore, SlotCache, padded_prefixes
from .visual_tokens import VisualTokenCache, image_hashes

PREFILL_TOKENS = 512
"""Tokens of the prompts that are read together between two steps; more would keep the running requests waiting."""
PREFIX_SHARE = 4
"""By default, the store of prefixes holds at most the tokens of a batch divided by this."""
TEXT_INPUTS = ("input_ids", "attention_mask")


@dataclass
class _Request:
    """A prompt, what has been generated, and how to continue."""

    ids: list[int]
    """Of the prompt and of what has been generated."""
    max_length: int
    device: torch.device
    images: Mapping[str, Tensor]
    hashes: Sequence[bytes]
    """Of each image."""
    prefix_tokens: int
    """Tokens up to and including the last image; 0 without images."""
    prefix: tuple[int | bytes, ...] | None
    """These tokens and hashes; None without images."""
    processors: Any
    criteria: list[Any]
    """Stopping criteria besides the length and the end tokens."""
    end_ids: set[int]
    generator: torch.Generator | None
    do_sample: bool
    is_stopped: Callable[[], bool]
    events: "SimpleQueue[int | Exception | None]" = field(default_factory=SimpleQueue)
    """Tokens, then None or what went wrong."""
    _past: Tensor = field(default_factory=lambda: torch.zeros(1, 0, dtype=torch.long))
    _copied: int = 0

    @property
    def past(self) -> Tensor:
        """Prompt and generated tokens, (1, length): a view of a buffer, to which only new tokens are copied."""
        length = len(self.ids)
        if length > self._past.shape[1]:
            self._past, self._copied = torch.zeros(1, 2 * length, dtype=torch.long, device=self.device), 0
        self._past[0, self._copied : length] = torch.tensor(self.ids[self._copied :], device=self.device)
        self._copied = length
        return self._past[:, :length]

    def choose(self, logits: Tensor) -> int:
        """Choose a token from logits (1, vocabulary), as `generate` does."""
        scores = self.processors(self.past, logits)
        if not self.do_sample:
            return int(scores.argmax(-1))
        return int(torch.multinomial(nn.functional.softmax(scores, dim=-1), 1, generator=self.generator))

    def append(self, token: int) -> bool:
        """Append a token; return whether it is the last one."""
        self.ids.append(token)
        self.events.put(token)
        return (
            token in self.end_ids
            or len(self.ids) >= self.max_length
            or self.is_stopped()
            or any(bool(criterion(self.past, None)) for criterion in self.criteria)
        )


_batchers: "WeakSet[ContinuousBatcher]" = WeakSet()
_threads: WeakSet[threading.Thread] = WeakSet()
"""Of all batchers. A thread may outlive its batcher, which it then frees with the model."""


@atexit.register
def _close_all() -> None:
    """End all threads before the interpreter ends: it would abort the process if it ended one inside torch."""
    for batcher in list(_batchers):
        batcher.close()
    for thread in list(_threads):
        thread.join()


class ContinuousBatcher:
    """Generates for several requests at once; `generate` may be called from any thread.

    Requests start in the order in which they arrive. A prompt with images is read by itself: encoders and long prompts
    are no faster together on a CPU, and between two of them the running requests go on.

    Args:
        model: a model for which `slot_cache.unable_to_join` returns None.
        max_rows: the most requests that are decoded together.
        max_tokens: limit on the rows times the tokens that the longest of them may reach, prompt included; a request
            that exceeds it is answered alone.
        prefix_tokens: tokens of prompts up to their last image that are kept, for questions about the same images;
            by default a quarter of `max_tokens`.
    """

    def __init__(self, model: Any, max_rows: int, max_tokens: int, prefix_tokens: int | None = None) -> None:
        self._model, self._max_rows, self._max_tokens = model, max_rows, max_tokens
        self._waiting: deque[_Request] = deque()
        self._rows: list[_Request] = []
        self._cache = SlotCache()
        self.prefixes = PrefixStore(max_tokens // PREFIX_SHARE if prefix_tokens is None else prefix_tokens)
        self._visual_tokens = VisualTokenCache(model)
        self._lock = threading.Lock()
        self._is_closed = False
        self._is_running = False
        _batchers.add(self)

    @property
    def running(self) -> int:
        """Rows that are being decoded."""
        return len(self._rows)

    @property
    def waiting(self) -> int:
        """Requests that wait for a row."""
        return len(self._waiting)

    def generate(
        self,
        inputs: Mapping[str, Tensor],
        settings: Mapping[str, Any],
        streamer: Any,
        seed: int | None,
        is_stopped: Callable[[], bool],
    ) -> Tensor:
        """Generate for one prompt, as the model's `generate` does: (1, length) -> (1, length + new tokens).

        Args:
            inputs: `input_ids` (1, length), `attention_mask` and the tensors of the images.
            settings: further arguments of `generate`.
            streamer: receives the prompt and each token, in the calling thread.
            seed: seed of this request's generator; None draws from torch's global one.
            is_stopped: whether to end after the current token; called from the batcher's thread.
        """
        images = {name: value for name, value in inputs.items() if name not in TEXT_INPUTS}
        # Given to `generate`, images would be encoded at once, in this thread.
        decode = partial(self._decode, images=images, on_token=streamer.put, seed=seed, is_stopped=is_stopped)
        text = {name: value for name, value in inputs.items() if name in TEXT_INPUTS}
        tokens: Tensor = self._model.generate(**text, **settings, streamer=streamer, custom_generate=decode)
        streamer.end()
        return tokens

    def close(self) -> None:
        """Stop the thread after the current step; requests that are not done raise `RuntimeError`."""
        with self._lock:
            self._is_closed = True

    def _decode(
        self,
        model: Any,
        input_ids: Tensor,
        *,
        logits_processor: Any,
        stopping_criteria: Any,
        generation_config: Any,
        images: Mapping[str, Tensor],
        on_token: Callable[[Tensor], object],
        seed: int | None,
        is_stopped: Callable[[], bool],
        **_: Any,
    ) -> Tensor:
        """Replace the loop of `generate`."""
        positions = (input_ids[0] == model.config.image_token_id).nonzero()
        prefix_tokens = min(int(positions[-1]) + 1, input_ids.shape[1] - 1) if len(positions) else 0
        hashes = image_hashes(images)
        generator = None if seed is None else torch.Generator(input_ids.device).manual_seed(seed)
        finished = threading.Event()
        request = _Request(
            ids=input_ids[0].tolist(),
            max_length=int(generation_config.max_length),
            device=input_ids.device,
            images=images,
            hashes=hashes,
            prefix_tokens=prefix_tokens,
            prefix=(*input_ids[0, :prefix_tokens].tolist(), *hashes) if prefix_tokens else None,
            processors=logits_processor,
            criteria=[one for one in stopping_criteria if not isinstance(one, EosTokenCriteria | MaxLengthCriteria)],
            end_ids={token for one in stopping_criteria for token in _end_ids(one)},
            generator=generator,
            do_sample=bool(generation_config.do_sample),
            is_stopped=lambda: finished.is_set() or is_stopped(),
        )
        self._submit(request)
        try:
            while isinstance(event := request.events.get(), int):
                on_token(torch.tensor([event]))
        finally:
            finished.set()
        if event is not None:
            raise event
        return torch.tensor([request.ids], device=request.device)

    def _submit(self, request: _Request) -> None:
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the batcher is closed")
            self._waiting.append(request)
            if not self._is_running:
                self._is_running = True
                thread = threading.Thread(target=self._run, name="minigemini-batcher", daemon=True)
                _threads.add(thread)
                thread.start()

    def _run(self) -> None:
        """Answer until no request is left; the thread ends then, so that a model that is no longer used is freed."""
        with torch.inference_mode():
            while True:
                with self._lock:
                    if self._is_closed:
                        break
                    if not (self._waiting or self._rows):
                        self._is_running = False
                        return
                    joining = self._next_requests()
                try:
                    if joining:
                        self._prefill(joining)
                    if self._rows:
                        self._step()
                except Exception as error:  # noqa: BLE001 (raised in the threads of the requests)
                    for request in self._rows:
                        request.events.put(error)
                    self._rows, self._cache = [], SlotCache()
        for request in [*self._waiting, *self._rows]:
            request.events.put(RuntimeError("the batcher was closed"))

    def _next_requests(self) -> list[_Request]:
        """Take the requests that join now from the queue: one with images to encode, or several others."""
        for request in [request for request in self._waiting if request.is_stopped()]:
            self._waiting.remove(request)
            request.events.put(None)
        chosen: list[_Request] = []
        tokens = 0
        while self._waiting:
            request = self._waiting[0]
            is_new = request.prefix is not None and request.prefix not in self.prefixes
            tokens += len(request.ids) - (0 if is_new else request.prefix_tokens)
            if not self._has_room([*self._rows, *chosen, request]) or (chosen and (is_new or tokens > PREFILL_TOKENS)):
                break
            chosen.append(self._waiting.popleft())
            if is_new:
                break
        return chosen

    def _has_room(self, requests: Sequence[_Request]) -> bool:
        is_small = len(requests) * _most_columns(requests) <= self._max_tokens
        return len(requests) == 1 or (len(requests) <= self._max_rows and is_small)

    def _prefill(self, requests: Sequence[_Request]) -> None:
        """Read prompts and choose their first tokens."""
        try:
            logits = self._read(requests)
        except Exception as error:  # noqa: BLE001 (raised in the thread of the request)
            if len(requests) == 1:
                requests[0].events.put(error)
                return
            for request in requests:  # the others can be answered
                self._prefill([request])
        else:
            self._advance(requests, logits)

    def _read(self, requests: Sequence[_Request]) -> Tensor:
        """Read prompts from where their known prefixes end, and add their rows: -> logits (B, vocabulary)."""
        known = [self.prefixes.get(request.prefix) for request in requests]
        cache = DynamicCache(config=self._model.config)
        before = padded_prefixes(known, cache)
        starts = [
            0 if states is None else request.prefix_tokens for request, states in zip(requests, known, strict=True)
        ]
        parts = [request.ids[start:] for request, start in zip(requests, starts, strict=True)]
        columns = before + max(map(len, parts))
        ids = torch.zeros(len(parts), columns - before, dtype=torch.long)
        mask = torch.zeros(len(parts), columns, dtype=torch.long)
        kept = []
        for row, (start, part) in enumerate(zip(starts, parts, strict=True)):
            ids[row, columns - before - len(part) :] = torch.tensor(part)
            kept.append([slice(before - start, before), slice(columns - len(part), columns)])
            for used in kept[-1]:
                mask[row, used] = 1
        is_new, device = requests[0].prefix is not None and known[0] is None, requests[0].device
        output = self._model(
            input_ids=ids.to(device),
            attention_mask=None if mask.all() else mask.to(device),
            position_ids=(mask.cumsum(1) - 1).clamp(min=0)[:, before:].to(device),
            use_cache=True,
            logits_to_keep=1,
            **{CACHE: cache},
            **(self._visual_tokens.encoded(requests[0].images, requests[0].hashes) if is_new else {}),
        )
        if is_new:
            self.prefixes.add(requests[0].prefix, cache, requests[0].prefix_tokens)
        self._cache.join(cache, kept, _most_columns([*self._rows, *requests]))
        self._rows += requests
        return output.logits[:, -1]

    def _step(self) -> None:
        """Append a token to every row."""
        tokens = [request.ids[-1] for request in self._rows]
        inputs = self._cache.step(tokens, _most_columns(self._rows), self._rows[0].device)
        self._advance(list(self._rows), self._model(**inputs).logits[:, -1])

    def _advance(self, requests: Sequence[_Request], logits: Tensor) -> None:
        """Choose the next token of requests from logits (B, vocabulary), and remove those that are done."""
        logits = logits.to(device=requests[0].device, dtype=torch.float32)
        likeliest = logits.argmax(-1).tolist()
        for row, request in enumerate(requests):
            try:
                is_plain = not (request.do_sample or request.processors)
                is_done = request.append(likeliest[row] if is_plain else request.choose(logits[row : row + 1]))
                end: Exception | None = None
            except Exception as error:  # noqa: BLE001 (raised in the thread of the request)
                is_done, end = True, error
            if is_done:
                self._remove(request)
                request.events.put(end)

    def _remove(self, request: _Request) -> None:
        row = next(row for row, one in enumerate(self._rows) if one is request)
        self._cache.leave(row)
        self._rows[row] = self._rows[-1]
        self._rows.pop()


def _most_columns(requests: Sequence[_Request]) -> int:
    """Columns that the longest request may reach."""
    return max(request.max_length for request in requests)


def _end_ids(criterion: StoppingCriteria) -> list[int]:
    """Return the end tokens of a stopping criterion, if it has any."""
    return criterion.eos_token_id.tolist() if isinstance(criterion, EosTokenCriteria) else []
