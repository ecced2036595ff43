"""A key-value cache of many requests, whose rows join and leave between steps, and a store of prefixes to start from.

Letters: B rows · S allocated rows · C allocated columns · H heads · D head size.
"""

import copy
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.generation import GenerationMode

from ..modeling.outputs import CACHE
from .exported_model import ExportedModel

COLUMNS_AHEAD = 128
"""Columns allocated beyond the longest row, so that buffers are not copied at every step."""
ROPE_OF_THE_LONGEST = ("dynamic", "longrope")
"""Kinds of rotary embedding whose frequencies depend on the longest row of a batch."""

States = list[tuple[Tensor, Tensor]]
"""Keys and values of one row, each (1, H, columns, D), for each layer."""


def can_share(model: Any) -> bool:
    """Whether all layers cache all keys and values: a sliding window would count padding between them."""
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)


def unable_to_join(model: Any) -> str | None:
    """Return why requests cannot share the batches of a model, or None if they can."""
    if isinstance(model, ExportedModel):
        return "it is an exported model, whose runtime keeps the cache"
    if not can_share(model):
        return "some of its layers do not cache all keys and values (sliding windows or recurrent states)"
    rope = getattr(model.config.get_text_config(decoder=True), "rope_parameters", None) or {}
    kinds = {rope.get("rope_type"), *(one.get("rope_type") for one in rope.values() if isinstance(one, dict))}
    if found := kinds.intersection(ROPE_OF_THE_LONGEST):
        return f"its rotary embeddings, {found.pop()}, depend on the longest request of a batch"
    settings = copy.deepcopy(model.generation_config)
    settings.num_beams = 1  # as the engine sets it
    if settings.get_generation_mode() not in (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE):
        return f"its generation_config asks for {settings.get_generation_mode().value}"
    for name in ("cache_implementation", "prefill_chunk_size", "guidance_scale"):
        if getattr(settings, name, None) is not None:
            return f"its generation_config sets {name}"
    return "its generation_config turns the cache off" if settings.use_cache is False else None


class SlotCache(Cache):
    """Keys and values of B rows of different lengths; each row starts at column 0.

    A step writes the next column of every row in place, where a `DynamicCache` copies all columns. A row that joins is
    copied once; when a row leaves, the last row takes its place.

    Attributes:
        lengths: columns of each row.
    """

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.lengths: list[int] = []
        self.rows = self.columns = torch.zeros(0, dtype=torch.long)
        """(B,), the rows, and the column that each of them writes in this step."""
        self.column: int | None = None
        """That column if it is the same for all."""

    def join(self, prompts: Cache, kept: Sequence[Sequence[slice]], most_columns: int) -> None:
        """Add the rows of a prefilled cache.

        Args:
            prompts: a cache with one row for each entry of `kept`.
            kept: the columns of each row that hold its tokens, in order.
            most_columns: columns that the longest row, old or new, may reach.
        """
        first = len(self.lengths)
        lengths = self.lengths + [sum(part.stop - part.start for part in parts) for parts in kept]
        self.layers: list[Any] = self.layers or [_SlotLayer(self) for _ in prompts.layers]
        for layer, prompt in zip(self.layers, prompts.layers, strict=True):
            layer.reserve(prompt, len(lengths), max(lengths), most_columns)
            for row, parts in enumerate(kept):
                layer.copy(row, first + row, prompt, parts)
        self.lengths = lengths

    def leave(self, row: int) -> None:
        """Remove a row; the last row takes its place."""
        last = len(self.lengths) - 1
        for layer in self.layers if row != last else ():
            layer.copy(last, row, layer, [slice(0, self.lengths[last])])
        self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        if not self.lengths:
            self.layers = []  # frees the memory

    def step(self, tokens: Sequence[int], most_columns: int, device: torch.device) -> dict[str, Any]:
        """Return the inputs of `forward` that append a token to every row, for which they make room.

        Args:
            tokens: the token of each row.
            most_columns: columns that the longest row may reach.
            device: device of the inputs.
        """
        self.columns = torch.tensor(self.lengths, device=device)
        self.rows = torch.arange(len(self.lengths), device=device)
        self.column = self.lengths[0] if min(self.lengths) == max(self.lengths) else None
        self.lengths = [length + 1 for length in self.lengths]
        longest = max(self.lengths)
        for layer in self.layers:
            layer.reserve(layer, len(self.lengths), longest, most_columns)
        mask = None
        if self.column is None:
            mask = (torch.arange(longest, device=device) <= self.columns[:, None]).long()
        return {
            "input_ids": torch.tensor(tokens, device=device)[:, None],
            "attention_mask": mask,
            "position_ids": self.columns[:, None],
            "use_cache": True,
            CACHE: self,
        }


class _SlotLayer(DynamicLayer):
    """One layer of a `SlotCache`; `keys` and `values` are (S, H, C, D), of which B rows are used."""

    keys: Any
    values: Any

    def __init__(self, cache: SlotCache) -> None:
        super().__init__()
        self._cache = cache

    def reserve(self, like: Any, rows: int, columns: int, most_columns: int) -> None:
        """Make room for `rows` of `columns`; new buffers are as wide as they need to be, not as the old ones."""
        if self.keys is not None and rows <= self.keys.shape[0] and columns <= self.keys.shape[2]:
            return
        width = max(columns, min(columns + COLUMNS_AHEAD, most_columns))
        for name in ("keys", "values"):
            old, given = getattr(self, name), getattr(like, name)
            # Zeros, because what is masked is still multiplied: by 0, which makes NaN of what memory may contain.
            new = given.new_zeros(rows, given.shape[1], width, given.shape[3])
            if old is not None:
                used = min(old.shape[2], width)
                new[: old.shape[0], :, :used] = old[:rows, :, :used]
            setattr(self, name, new)
        self.is_initialized = True

    def copy(self, source_row: int, row: int, source: Any, parts: Sequence[slice]) -> None:
        """Fill a row from column 0 on with columns of a row of another layer, or of this one."""
        start = 0
        for part in parts:
            end = start + part.stop - part.start
            self.keys[row, :, start:end] = source.keys[source_row, :, part]
            self.values[row, :, start:end] = source.values[source_row, :, part]
            start = end

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write the states (B, H, 1, D) of this step, and return those of all columns in use."""
        cache, rows = self._cache, len(key_states)
        longest = max(cache.lengths)
        for buffer, states in ((self.keys, key_states), (self.values, value_states)):
            if cache.column is not None:
                buffer[:rows, :, cache.column] = states[:, :, 0]
            else:
                buffer[cache.rows.to(buffer.device), :, cache.columns.to(buffer.device)] = states[:, :, 0]
        return self.keys[:rows, :, :longest], self.values[:rows, :, :longest]

    def get_seq_length(self) -> int:
        """Return the columns in use before this step."""
        return max(self._cache.lengths, default=1) - 1


class PrefixStore:
    """Keys and values of the beginnings of prompts, of which the least recently used are dropped.

    Args:
        max_tokens: tokens of all prefixes together.
    """

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._entries: OrderedDict[Hashable, States] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def get(self, key: Hashable) -> States | None:
        """Return the states of a prefix."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def add(self, key: Hashable, cache: Any, tokens: int) -> None:
        """Keep the first tokens of the first row of a cache."""
        if tokens > self._max_tokens:
            return
        self._entries[key] = [
            (layer.keys[:1, :, :tokens].clone(), layer.values[:1, :, :tokens].clone()) for layer in cache.layers
        ]
        while self.tokens > self._max_tokens:
            self._entries.popitem(last=False)

    @property
    def tokens(self) -> int:
        """Tokens of all prefixes."""
        return sum(states[0][0].shape[2] for states in self._entries.values())


def padded_prefixes(prefixes: Sequence[States | None], cache: DynamicCache) -> int:
    """Fill an empty cache with prefixes, padded on the left; return the number of columns.

    Args:
        prefixes: the prefix of each row, None if it has none.
        cache: the cache, afterwards with one row for each prefix, or none if all are None.
    """
    given = [states for states in prefixes if states is not None]
    columns = max((states[0][0].shape[2] for states in given), default=0)
    for index in range(len(given[0]) if given else 0):
        padded = []
        for part in range(2):
            like = given[0][index][part]
            joined = like.new_zeros(len(prefixes), like.shape[1], columns, like.shape[3])
            for row, states in enumerate(prefixes):
                if states is not None:
                    joined[row, :, columns - states[index][part].shape[2] :] = states[index][part][0]
            padded.append(joined)
        cache.update(padded[0], padded[1], index)
    return columns
