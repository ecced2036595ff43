"""System messages for every chat format: many templates accept one, as the first message, and some none."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from ..io.errors import RequestError

Message = Mapping[str, Any]
SEPARATOR = "\n\n"
"""Between instructions, and before the question that they are moved to; as in the templates of Gemma and Mistral."""


def merge_system(messages: Sequence[Message]) -> list[Message]:
    """Join the system messages that a conversation begins with."""
    first = list(takewhile(_is_system, messages))
    if len(first) < 2:
        return list(messages)
    text = SEPARATOR.join("".join(_texts(message)) for message in first)
    return [{"role": "system", "content": text}, *messages[len(first) :]]


def fold_system(messages: Sequence[Message]) -> list[Message]:
    """Move the text of system messages to the beginning of the next user turn, for formats that support none.

    Raises:
        RequestError: no user turn follows a system message.
    """
    folded: list[Message] = []
    pending: list[str] = []
    for message in messages:
        if _is_system(message):
            pending.append("".join(_texts(message)))
        elif pending and message["role"] == "user":
            folded.append({**message, "content": _prepended(SEPARATOR.join(pending), message["content"])})
            pending = []
        else:
            folded.append(message)
    if pending:
        raise RequestError("a system message has no user message after it; this model's chat format needs one")
    return folded


def _is_system(message: Message) -> bool:
    return message["role"] == "system"


def _texts(message: Message) -> Iterator[str]:
    content = message["content"]
    if isinstance(content, str):
        yield content
    else:
        yield from (part["text"] for part in content if part["type"] == "text")


def _prepended(text: str, content: Any) -> Any:
    """Content with `text` before its own; images stay where they are, since templates put them first."""
    if isinstance(content, str):
        return f"{text}{SEPARATOR}{content}"
    return [{"type": "text", "text": f"{text}{SEPARATOR}"}, *content]
