"""System messages for every chat format: many templates accept one, as the first message, and some none."""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from ..io.errors import RequestError
from ..modeling.messages import SYSTEM_SEPARATOR, fold_system_turns

Message = Mapping[str, Any]


def merge_system(messages: Sequence[Message]) -> list[Message]:
    """Join the system messages that a conversation begins with."""
    first = list(takewhile(_is_system, messages))
    if len(first) < 2:
        return list(messages)
    text = SYSTEM_SEPARATOR.join(map(_text, first))
    return [{"role": "system", "content": text}, *messages[len(first) :]]


def fold_system(messages: Sequence[Message]) -> list[Message]:
    """Move the text of system messages to the beginning of the next user turn, for formats that support none.

    Raises:
        RequestError: no user turn follows a system message.
    """
    # Of system messages only the text is kept.
    texts = [{**message, "content": _text(message)} if _is_system(message) else message for message in messages]
    try:
        return list(fold_system_turns(texts))
    except ValueError:
        raise RequestError(
            "a system message has no user message after it; this model's chat format needs one"
        ) from None


def _is_system(message: Message) -> bool:
    return message["role"] == "system"


def _text(message: Message) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")
