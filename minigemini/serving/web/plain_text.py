"""Escape text in the chat.

Gradio 6.31 sends messages to the browser as HTML even with Markdown disabled: the browser would load `<img src=…>`.
"""

import re
from abc import ABCMeta
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

_MARKUP_START = re.compile(r"<(?=[A-Za-z/!?])|&(?=#|[A-Za-z])")
"""Starts of tags and character references; `1 < 2 & 3` stays unchanged, also when the user copies it."""
_ESCAPES = {"<": "&lt;", "&": "&amp;"}


def to_html(text: str) -> str:
    """Return HTML that displays a text."""
    return _MARKUP_START.sub(lambda match: _ESCAPES[match[0]], text)


def from_html(html: str) -> str:
    """Invert `to_html`."""
    return html.replace("&lt;", "<").replace("&amp;", "&")


class _EscapedText:
    """Escapes the texts that a chatbot sends to the browser, and unescapes those that it receives."""

    def postprocess(self, value: Any) -> Any:
        data = super().postprocess(value)  # type: ignore[misc]
        # Copy: the caller keeps these messages and starts the next answer with them.
        data.root = [message.model_copy(deep=True) for message in data.root]
        for message in data.root:
            _rewrite(message.content, to_html)
            if message.metadata and (note := message.metadata.get("log")):
                message.metadata["log"] = to_html(note)
        return data

    def preprocess(self, payload: Any) -> Any:
        if payload is not None:
            for message in payload.root:
                _rewrite(message.content, from_html)
                if message.metadata and (note := message.metadata.get("log")):
                    message.metadata["log"] = from_html(note)
        return super().preprocess(payload)  # type: ignore[misc]

    def get_block_name(self) -> str:
        """Name the component of the browser's code."""
        return "chatbot"


# A class, since Gradio builds a new component of it whenever an event changes one, as opening a conversation does.
# Made without Gradio's metaclass, which would write a file next to this one.
PlainChatbot: Any = ABCMeta.__new__(type(gr.Chatbot), "PlainChatbot", (_EscapedText, gr.Chatbot), {})


def _rewrite(parts: Sequence[Any], change: Callable[[str], str]) -> None:
    for part in parts:
        if part.type == "text":
            part.text = change(part.text)
