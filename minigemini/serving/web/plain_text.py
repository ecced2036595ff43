"""Text in the chat that stays text.

Gradio 6.31 hands what is said to the browser as HTML, with markdown switched off too: `<img src=…>` would be fetched.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

_OPENS = re.compile(r"<(?=[A-Za-z/!?])|&(?=#|[A-Za-z])")
"""What may begin a tag or a character reference; `1 < 2 & 3` stays as it is, and is copied as it is."""
_WRITTEN = {"<": "&lt;", "&": "&amp;"}


def to_html(text: str) -> str:
    """HTML that shows a text."""
    return _OPENS.sub(lambda found: _WRITTEN[found[0]], text)


def from_html(html: str) -> str:
    """The text that `to_html` was given."""
    return html.replace("&lt;", "<").replace("&amp;", "&")


def show_as_text(chatbot: gr.Chatbot) -> None:
    """Have a chat send texts to the browser as HTML that shows them, and take them back."""
    # On the instance: Gradio writes a file beside the source of every class that is derived from its own.
    plain: Any = chatbot
    plain.postprocess = _sending(chatbot.postprocess)
    plain.preprocess = _taking(chatbot.preprocess)


def _sending(postprocess: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def send(value: Any) -> Any:
        data = postprocess(value)
        # Messages that are passed through belong to the caller: the next answer begins with them again.
        data.root = [message.model_copy(deep=True) for message in data.root]
        for message in data.root:
            _rewrite(message.content, to_html)
            if message.metadata and (note := message.metadata.get("log")):
                message.metadata["log"] = to_html(note)
        return data

    return send


def _taking(preprocess: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def take(payload: Any) -> Any:
        if payload is not None:
            for message in payload.root:
                _rewrite(message.content, from_html)
                if message.metadata and (note := message.metadata.get("log")):
                    message.metadata["log"] = from_html(note)
        return preprocess(payload)

    return take


def _rewrite(parts: Sequence[Any], change: Callable[[str], str]) -> None:
    for part in parts:
        if part.type == "text":
            part.text = change(part.text)
