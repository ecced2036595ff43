"""Tokenizers of other people: how much text they may make of little."""

import json
from collections.abc import Iterator
from typing import Any

MOST_GROWTH = 64
"""Characters that one may become. Published tokenizers make one or two of one."""


def check_growth(tokenizer: Any) -> None:
    """Check that a tokenizer does not blow texts up: one character replaced by ten, seven times, is 10**7 of them.

    Raises:
        ValueError: If it does.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    for name in ("normalizer", "decoder"):
        component, growth = getattr(backend, name, None), 1.0
        for step in _replacements(json.loads(component.__getstate__())) if component is not None else ():
            pattern = step.get("pattern")
            replaced = pattern.get("String") if isinstance(pattern, dict) else None
            growth *= max(1.0, len(str(step.get("content", ""))) / max(1, len(replaced or "")))
        if growth > MOST_GROWTH:
            raise ValueError(
                f"the tokenizer's {name} makes {growth:,.0f} characters of one, more than {MOST_GROWTH}: take the "
                "tokenizer that the model was trained with."
            )


def _replacements(state: Any) -> Iterator[dict[str, Any]]:
    """The steps of a component that replace text, in sequences of sequences."""
    if isinstance(state, dict):
        if state.get("type") in ("Replace", "Prepend"):
            yield state
        for inner in state.values():
            yield from _replacements(inner)
    elif isinstance(state, list):
        for inner in state:
            yield from _replacements(inner)
