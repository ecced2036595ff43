"""A model with scripted answers, token by token, and real prompts."""

from collections.abc import Sequence
from typing import Any

import torch

from minigemini.inference import Engine


def script(engine: Engine, answers: Sequence[str], monkeypatch: Any) -> list[str]:
    """Make the engine give these answers in order; return a list that collects its prompts."""
    tokenizer, prompts, rest = engine.processor.tokenizer, list[str](), iter(answers)

    def generate(input_ids: Any, streamer: Any, max_new_tokens: int, custom_generate: Any = None, **_: Any) -> Any:
        prompts.append(tokenizer.decode(input_ids[0]))
        tokens = [*tokenizer.encode(next(rest), add_special_tokens=False), tokenizer.eos_token_id][:max_new_tokens]
        streamer.put(input_ids)
        for token in tokens:
            streamer.put(torch.tensor([token]))
        if custom_generate is None:  # its caller ends the stream
            streamer.end()
        return torch.cat([input_ids, torch.tensor([tokens])], dim=1)

    monkeypatch.setattr(engine.model, "generate", generate)
    return prompts
