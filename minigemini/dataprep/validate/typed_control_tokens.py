"""Control tokens of language models that stand in the text of a sample: read as text, and seldom meant to be there."""

import re

_WELL_KNOWN = re.compile(
    r"<\|[^|<>\s]+\|>"  # ChatML, Llama 3, Qwen, SmolLM, nano
    r"|</?s>|<(?:unk|pad|bos|eos)>|<(?:start|end)_of_turn>"  # Llama 2, Mixtral, Yi, Gemma
    r"|\[/?INST\]"
)


def well_known(text: str) -> list[str]:
    """What in a text is a control token to some well-known family of language models, each once."""
    return list(dict.fromkeys(_WELL_KNOWN.findall(text)))
