"""Chat templates, which render messages as prompts. `{% generation %}` marks the text that the model is trained on.

Each template is a shared preamble (`content.jinja`) followed by one format. Content is a string or a list of parts
`{"type": "image"}` and `{"type": "text", "text": …}`. The images of a turn precede its text. If a prompt has two or
more images, each is introduced by `Image k:`. The tokenizer adds BOS, except in nano's own format.
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
"""Tokens that end an answer in each chat format, in addition to the tokenizer's EOS."""

CHAT_TEMPLATES: dict[str, str] = {name: _read("content") + _read(name) for name in END_TOKENS}
"""The complete template of each chat format, by name, as saved in a checkpoint's `chat_template.jinja`."""
