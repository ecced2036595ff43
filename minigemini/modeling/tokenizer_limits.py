"""Limits on untrusted tokenizers."""

import json
from collections.abc import Iterator
from typing import Any

MAX_GROWTH = 64
"""Maximum number of characters that one may expand to; in published tokenizers it is one or two."""


def check_growth(tokenizer: Any) -> None:
    """Check that a tokenizer does not expand text excessively.

    Replacements multiply: seven that each turn one character into ten produce 10**7.

    Raises:
        ValueError: One character may become more than `MAX_GROWTH`.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    for name in ("normalizer", "decoder"):
        component, growth = getattr(backend, name, None), 1.0
        for step in _replacements(json.loads(component.__getstate__())) if component is not None else ():
            pattern = step.get("pattern")
            replaced = pattern.get("String") if isinstance(pattern, dict) else None
            growth *= max(1.0, len(str(step.get("content", ""))) / max(1, len(replaced or "")))
        if growth > MAX_GROWTH:
            raise ValueError(
                f"the tokenizer's {name} expands one character to {growth:,.0f}, more than {MAX_GROWTH}: use the "
                "tokenizer that the model was trained with."
            )


def _replacements(state: Any) -> Iterator[dict[str, Any]]:
    """Yield the steps of a component that replace text, at any depth of nested sequences."""
    if isinstance(state, dict):
        if state.get("type") in ("Replace", "Prepend"):
            yield state
        for inner in state.values():
            yield from _replacements(inner)
    elif isinstance(state, list):
        for inner in state:
            yield from _replacements(inner)
