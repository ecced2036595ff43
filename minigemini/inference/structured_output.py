"""Answers that match a JSON schema: at each step only tokens that can continue a matching text may be chosen.

llguidance compiles the schema and computes the allowed tokens, within its own limits on schemas of any origin.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from ..io.errors import StructureError

MAX_SCHEMA_CHARS = 2**16
"""Far more than any schema has that a person writes."""
FORMAT: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""As `json.dumps` writes it. With free whitespace, a small model may write line breaks until its length is used up."""


class StructuredOutput:
    """Compiles JSON schemas for one tokenizer.

    Args:
        tokenizer: the tokenizer, a fast one.
        vocab_size: number of logits; the tokenizer may have fewer tokens.
        ends: ids of the tokens that end an answer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocab_size: int, ends: list[int]) -> None:
        try:
            from llguidance.hf import from_tokenizer
        except ImportError:
            raise StructureError("structured output needs llguidance: pip install 'minigemini[structured]'") from None
        if not tokenizer.is_fast:
            raise StructureError("structured output needs a fast tokenizer, and this checkpoint's is slow")
        self._vocab_size = vocab_size
        fast: Any = tokenizer
        self._tokenizer = from_tokenizer(fast, vocab_size, ends)

    def processor(self, json_schema: str) -> "JsonSchemaProcessor":
        """Return a processor for one answer.

        Raises:
            StructureError: the schema is too long, invalid, or uses what llguidance does not support.
        """
        from llguidance import LLMatcher

        if len(json_schema) > MAX_SCHEMA_CHARS:
            raise StructureError(
                f"the JSON schema has {len(json_schema):,} characters; use at most {MAX_SCHEMA_CHARS:,}"
            )
        try:
            grammar = LLMatcher.grammar_from_json_schema(json_schema, overrides=FORMAT)
        except ValueError as error:
            raise StructureError(f"invalid JSON schema: {_first_line(str(error))}") from None
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise StructureError(f"the JSON schema cannot be followed: {_first_line(matcher.get_error())}")
        return JsonSchemaProcessor(matcher, self._vocab_size)


class JsonSchemaProcessor(LogitsProcessor):
    """Sets the logits of tokens that cannot continue a matching text to −∞; for one answer, a batch of one.

    Args:
        matcher: a fresh `LLMatcher`.
        vocab_size: number of logits.
    """

    def __init__(self, matcher: Any, vocab_size: int) -> None:
        self._matcher, self._vocab_size, self._length = matcher, vocab_size, 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Mask `scores` (1, vocabulary) after the tokens `input_ids` (1, length)."""
        if self._length:
            self._matcher.consume_tokens(input_ids[0, self._length :].tolist())
        self._length = input_ids.shape[1]
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():  # a limit of llguidance
            raise StructureError(f"the JSON schema cannot be followed: {_first_line(self._matcher.get_error())}")
        allowed = np.unpackbits(bits, bitorder="little")[: self._vocab_size].astype(bool)
        return scores.masked_fill(~torch.from_numpy(allowed).to(scores.device), -torch.inf)


def _first_line(message: str) -> str:
    return message.strip().partition("\n")[0][:200]
