"""Escapes control tokens in the content of messages.

A tokenizer recognizes its control tokens anywhere in a prompt: `</s>` in a question would end it, and `<eos>` in an
answer would be learned as a second end. So before messages are rendered, a space is inserted after the first character
of each control token in them (`</s>` becomes `< /s>`). This also protects servers that render and tokenize messages
themselves, and does not change the tokens of other text.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from transformers.tokenization_utils_base import PreTrainedTokenizerBase

Span = tuple[int, int]


class ControlTokens:
    """Finds and escapes the control tokens of a tokenizer.

    Args:
        tokenizer: All its special tokens are control tokens, and its other added tokens if they occur in `template`.
        template: The chat template.
        placeholders: Further strings to find, which the tokenizer does not know.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str, placeholders: Sequence[str] = ()) -> None:
        special = set(tokenizer.all_special_tokens)
        control = {
            id: token
            for id, token in tokenizer.added_tokens_decoder.items()
            if token.special or token.content in special or token.content in template
        }
        # Gemma has added tokens for runs of line breaks, which templates contain; these are plain text.
        known = (*special, *placeholders, *(token.content for token in control.values()))
        strings = {text for text in known if text.strip()}
        # Slow tokenizers may lowercase text before they look for tokens.
        self._pattern = _any_of(frozenset(strings), ignore_case=bool(getattr(tokenizer, "do_lower_case", False)))
        self._tokenizer = tokenizer
        normalized = any(token.normalized for token in control.values())
        self._ids_after_normalizing = (
            # Without the unknown token, which any text outside the vocabulary produces.
            {id for id, token in control.items() if token.content.strip()} - {tokenizer.unk_token_id}
            if normalized and tokenizer.is_fast
            else set()
        )

    def find(self, text: str) -> list[str]:
        """The distinct control tokens in a text as spelled there, in order of appearance."""
        return list(dict.fromkeys(text[start:end] for start, end in self._spans(text)))

    def as_text(self, text: str) -> str:
        """Escape the control tokens in a text."""
        replace = _insert_space
        while spans := self._spans(text):
            text = "".join(_replace_spans(text, spans, replace))
            replace = _blank  # a second pass is needed only if normalization removes the space
        return text

    def messages_as_text(self, messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Copy messages with the control tokens in their text escaped. Roles, images and videos are kept."""
        return [
            {name: value if name == "role" else self._escape(value) for name, value in message.items()}
            for message in messages
        ]

    def _escape(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.as_text(value)
        if isinstance(value, Mapping):
            is_media = value.get("type") in ("image", "video")
            return dict(value) if is_media else {name: self._escape(part) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return self._escape_across_parts([self._escape(part) for part in value])
        return value

    def _escape_across_parts(self, parts: list[Any]) -> list[Any]:
        """Escape tokens that span several text parts, because templates concatenate them."""
        texts = [part for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
        whole = "".join(part["text"] for part in texts)
        if self._spans(whole):
            for part in texts:
                part["text"] = ""
            texts[0]["text"] = self.as_text(whole)
        return parts

    def _spans(self, text: str) -> list[Span]:
        """Non-overlapping spans of control tokens."""
        found = [match.span() for match in self._pattern.finditer(text)]
        if found or not self._ids_after_normalizing:
            return found
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        spans = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        return [_strip_span(text, *span) for id, span in spans if id in self._ids_after_normalizing]


@lru_cache(maxsize=64)
def _any_of(tokens: frozenset[str], ignore_case: bool) -> re.Pattern[str]:
    """A pattern that matches the longest token at a position.

    Tokens with a common prefix share one alternative; otherwise each `<` would be compared with hundreds of them.
    """
    groups: dict[str, list[str]] = {}
    for token in sorted(tokens, key=len, reverse=True):
        groups.setdefault(token[:3], []).append(re.escape(token[3:]))
    longest_first = sorted(groups.items(), key=lambda group: len(group[0]), reverse=True)
    pattern = "|".join(f"{re.escape(start)}(?:{'|'.join(rests)})" for start, rests in longest_first)
    return re.compile(pattern or "(?!)", re.IGNORECASE if ignore_case else re.NOFLAG)


def _insert_space(token: str) -> str:
    return f"{token[0]} {token[1:]}" if len(token) > 1 else " "


def _blank(token: str) -> str:
    return " "


def _replace_spans(text: str, spans: Sequence[Span], replace: Callable[[str], str]) -> Iterator[str]:
    last = 0
    for start, end in spans:
        yield text[last:start]
        yield replace(text[start:end])
        last = end
    yield text[last:]


def _strip_span(text: str, start: int, end: int) -> Span:
    """Exclude the whitespace around a token, which some tokens absorb."""
    token = text[start:end]
    return end - len(token.lstrip()), start + len(token.rstrip())
