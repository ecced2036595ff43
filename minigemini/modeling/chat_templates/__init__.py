"""Chat templates: messages in, the exact text of a prompt out. `{% generation %}` marks what a model learns to say.

A template joins a preamble that all share (`content.jinja`) to the form of one format. Content is a string or a list
of parts `{"type": "image"}` and `{"type": "text", "text": …}`. A turn's pictures stand before its text; with two or
more in a prompt, each is introduced by `Image k:`. BOS belongs to the tokenizer, except in nano's own format.
"""

from pathlib import Path

_FOLDER = Path(__file__).parent


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.jinja").read_text(encoding="utf-8")


END_TOKENS: dict[str, tuple[str, ...]] = {
    "nano": (),
    "vicuna": (),
    "gemma": (),
    "mistral": (),
    "chatml": ("<|im_end|>",),
    "llama-3": ("<|eot_id|>",),
    "plain": (),
}
"""What ends an answer in each chat format besides the tokenizer's EOS."""

CHAT_TEMPLATES: dict[str, str] = {name: _read("content") + _read(name) for name in END_TOKENS}
"""The whole template of each chat format, by name: what a checkpoint keeps as `chat_template.jinja`."""
