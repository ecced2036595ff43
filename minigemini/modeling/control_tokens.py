"""Text from outside stays text: no control token comes from what somebody typed.

A tokenizer takes its control tokens wherever they stand in a prompt, whoever wrote them: `</s>` in a question would end
it, `<eos>` in an answer would be learned as a second end. So before a template renders messages, each control token in
them gets a space behind its first character (`</s>` becomes `< /s>`). That holds on every route, also where a server
renders and tokenizes the messages itself, and leaves the tokens of all other text as they are.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from transformers.tokenization_utils_base import PreTrainedTokenizerBase

Span = tuple[int, int]


class ControlTokens:
    """What a tokenizer reads as more than text.

    Args:
        tokenizer: Its special tokens count, and of its other added tokens those that `template` writes.
        template: The chat template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str) -> None:
        special = set(tokenizer.all_special_tokens)
        control = {
            id: token
            for id, token in tokenizer.added_tokens_decoder.items()
            if token.special or token.content in special or token.content in template
        }
        # Gemma adds runs of line ends as tokens, and templates write line ends: both are text.
        strings = {text for text in (*special, *(token.content for token in control.values())) if text.strip()}
        # Slow tokenizers may lower the case of a text before they look for tokens in it.
        self._pattern = _any_of(frozenset(strings), ignore_case=bool(getattr(tokenizer, "do_lower_case", False)))
        self._tokenizer = tokenizer
        normalized = any(token.normalized for token in control.values())
        self._ids_after_normalizing = (
            # Without the unknown token: what is beyond the vocabulary becomes it, too.
            {id for id, token in control.items() if token.content.strip()} - {tokenizer.unk_token_id}
            if normalized and tokenizer.is_fast
            else set()
        )

    def find(self, text: str) -> list[str]:
        """The control tokens in a text as they are written there, each once, in their order."""
        return list(dict.fromkeys(text[start:end] for start, end in self._spans(text)))

    def as_text(self, text: str) -> str:
        """The same text without control tokens."""
        replace = _spaced
        while spans := self._spans(text):
            text = "".join(_replaced(text, spans, replace))
            replace = _blank  # a second time only where normalizing took the space out again
        return text

    def messages_as_text(self, messages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Copies of messages without control tokens in any text of theirs; roles and images stay as they are."""
        return [
            {name: value if name == "role" else self._without(value) for name, value in message.items()}
            for message in messages
        ]

    def _without(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.as_text(value)
        if isinstance(value, Mapping):
            image = value.get("type") == "image"
            return dict(value) if image else {name: self._without(part) for name, part in value.items()}
        if isinstance(value, list | tuple):
            return self._joined([self._without(part) for part in value])
        return value

    def _joined(self, parts: list[Any]) -> list[Any]:
        """Parts of a message: templates join their texts, so one token may be written across several."""
        texts = [part for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
        whole = "".join(part["text"] for part in texts)
        if self._spans(whole):
            for part in texts:
                part["text"] = ""
            texts[0]["text"] = self.as_text(whole)
        return parts

    def _spans(self, text: str) -> list[Span]:
        """Where control tokens stand, none overlapping."""
        found = [match.span() for match in self._pattern.finditer(text)]
        if found or not self._ids_after_normalizing:
            return found
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        places = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        return [_stripped(text, *place) for id, place in places if id in self._ids_after_normalizing]


@lru_cache(maxsize=64)
def _any_of(tokens: frozenset[str], ignore_case: bool) -> re.Pattern[str]:
    """Finds the longest of tokens at a place.

    Those that begin alike are one alternative: otherwise each `<` of a text would be held against hundreds of them.
    """
    groups: dict[str, list[str]] = {}
    for token in sorted(tokens, key=len, reverse=True):
        groups.setdefault(token[:3], []).append(re.escape(token[3:]))
    longest_first = sorted(groups.items(), key=lambda group: len(group[0]), reverse=True)
    pattern = "|".join(f"{re.escape(start)}(?:{'|'.join(rests)})" for start, rests in longest_first)
    return re.compile(pattern or "(?!)", re.IGNORECASE if ignore_case else re.NOFLAG)


def _spaced(token: str) -> str:
    return f"{token[0]} {token[1:]}" if len(token) > 1 else " "


def _blank(token: str) -> str:
    return " "


def _replaced(text: str, spans: Sequence[Span], replace: Callable[[str], str]) -> Iterator[str]:
    last = 0
    for start, end in spans:
        yield text[last:start]
        yield replace(text[start:end])
        last = end
    yield text[last:]


def _stripped(text: str, start: int, end: int) -> Span:
    """A token's place without the blanks around it that some tokens take in."""
    token = text[start:end]
    return end - len(token.lstrip()), start + len(token.rstrip())
