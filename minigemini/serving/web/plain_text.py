"""Escape text in the chat.

Gradio 6.31 sends messages to the browser as HTML even with Markdown disabled: the browser would load `<img src=…>`.
"""

import re
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


def show_as_text(chatbot: gr.Chatbot) -> None:
    """Make a chatbot escape the texts that it sends to the browser, and unescape those that it receives."""
    # Set on the instance: Gradio writes a file next to the source of every subclass of a component.
    plain: Any = chatbot
    plain.postprocess = _escaping(chatbot.postprocess)
    plain.preprocess = _unescaping(chatbot.preprocess)


def _escaping(postprocess: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def escape(value: Any) -> Any:
        data = postprocess(value)
        # Copy: the caller keeps these messages and starts the next answer with them.
        data.root = [message.model_copy(deep=True) for message in data.root]
        for message in data.root:
            _rewrite(message.content, to_html)
            if message.metadata and (note := message.metadata.get("log")):
                message.metadata["log"] = to_html(note)
        return data

    return escape


def _unescaping(preprocess: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def unescape(payload: Any) -> Any:
        if payload is not None:
            for message in payload.root:
                _rewrite(message.content, from_html)
                if message.metadata and (note := message.metadata.get("log")):
                    message.metadata["log"] = from_html(note)
        return preprocess(payload)

    return unescape


def _rewrite(parts: Sequence[Any], change: Callable[[str], str]) -> None:
    for part in parts:
        if part.type == "text":
            part.text = change(part.text)
