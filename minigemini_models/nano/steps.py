"""The steps of nano from random weights."""

from typing import Any

from ..pretraining.pretraining_recipe import PRETRAINED_FILE, Pretraining

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


def align(root: str, with_mining: bool = True) -> Pretraining:
    """Stage 1: train mining and projector to give the tokens that the language model has learned to read."""
    encoders = f"{root}/nano-encoders/{PRETRAINED_FILE['encoders']}"
    return Pretraining(
        name="nano-align" if with_mining else "nano-without-mining-align",
        task="alignment-with-labels",
        steps=1000,
        learning_rate=2e-3,
        global_batch=16,
        micro_batch=16,
        low_res_encoder=f"{encoders}/vision_tower.safetensors",
        high_res_encoder=f"{encoders}/high_res_vision_tower.safetensors" if with_mining else None,
        language=f"{root}/nano-language/{PRETRAINED_FILE['language-with-labels']}",
        **SMALL,
    )
