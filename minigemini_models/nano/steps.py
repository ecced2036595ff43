"""The steps of nano from random weights."""

from typing import Any

from ..pretraining.pretraining_recipe import Pretraining

SMALL: dict[str, Any] = {
    "precision": "fp32",
    "weight_decay": 0.05,
    "adam_beta2": 0.98,
    "workers": 1,
    "save_steps": 250,
}
"""Settings of all steps. Models this small profit from weight decay, and CPUs compute in float32."""


def language() -> Pretraining:
    """Train the language model with perfect eyes, on lessons of all skills.

    Small batches: the number of steps decides when looking things up begins, not the number of lessons.
    """
    return Pretraining(
        name="nano-language",
        task="language-with-labels",
        steps=24_000,
        learning_rate=1e-3,
        warmup_ratio=0.005,
        global_batch=4,
        micro_batch=4,
        **SMALL,
    )
