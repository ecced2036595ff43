"""Text of a growing answer: what a token adds, in time that does not depend on the length of the answer."""

from collections.abc import Callable, Sequence

KEPT_TOKENS = 16
"""Tokens before a new one that are decoded again with it; at most twice as many."""
UNDECIDED_TOKENS = 3
"""A character has at most four bytes, of which this many may have come without the last one."""
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""Stands for bytes that are no character, or not yet."""


class IncrementalDecoder:
    """Decodes tokens as they come; the joined pieces are the text of all tokens.

    Decoding all tokens for each new one would take time quadratic in the length of the answer, and tokens cannot be
    decoded one by one: some decoders drop the space before the first one, and a character may have several tokens. So
    the last tokens are decoded with each new one. Where they begin moves on only if decoding from there gives the same
    text.

    Args:
        decode: decodes token ids.
        before: tokens before the answer, whose text is not part of it.
    """

    def __init__(self, decode: Callable[[list[int]], str], before: Sequence[int] = ()) -> None:
        self._decode = decode
        self._tokens = list(before)
        self._shown = len(decode(self._tokens)) if before else 0
        """Characters of the kept tokens that were returned, or that precede the answer."""
        self._undecided = 0

    def feed(self, tokens: Sequence[int]) -> str:
        """Add tokens, and return the text that is final now."""
        self._tokens += tokens
        text = self._decode(self._tokens)
        if not text.endswith(REPLACEMENT):
            self._undecided = 0
            return self._show(text, len(text))
        self._undecided += len(tokens)
        if self._undecided <= UNDECIDED_TOKENS:
            return ""
        return self._show(text, len(text) - 1)  # bytes that are no character, except perhaps the last one

    def close(self) -> str:
        """Return the remaining text, such as the bytes of an incomplete character."""
        text = self._decode(self._tokens)
        return self._show(text, len(text))

    def _show(self, text: str, end: int) -> str:
        new, self._shown = text[self._shown : end], max(self._shown, end)
        if len(self._tokens) > 2 * KEPT_TOKENS:
            self._drop_tokens(text)
        return new

    def _drop_tokens(self, text: str) -> None:
        kept = self._tokens[-KEPT_TOKENS:]
        # Without text, the next token would be the first one for the decoder.
        if (kept_text := self._decode(kept)) and text.endswith(kept_text):
            dropped = len(text) - len(kept_text)
            if dropped <= self._shown:
                self._tokens, self._shown = kept, self._shown - dropped
