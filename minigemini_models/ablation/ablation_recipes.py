"""The recipes of the ablation's steps, and the folders that runs with equal recipes share."""

from typing import Any

from minigemini.training.recipe import CHECKPOINT, DataPart, Recipe

from ..nano.nano_recipes import SHARED
from ..pretraining.pretraining_recipe import PRETRAINED_FILE, Pretraining, encoder_file
from ..samples.dataset import PREFIX, SMALL
from .variants import ENCODER, ENCODERS, PARTS, Variant

_SIZES: dict[str, Any] = {
    "world": "small",
    "low_res_width": 96,
    "low_res_layers": 4,
    "text_width": 128,
    "text_layers": 4,
}
_RUN: dict[str, Any] = {
    **SHARED,
    "workers": 0,  # the ablation runs one process per core
    "report_to": "none",
}

FEATURES_GB = 15.0
"""Maximum disk space of the feature cache, which variants and seeds share."""
ENCODER_STEPS, LANGUAGE_STEPS, ALIGN_STEPS = 6000, 6000, 600
"""Steps of 8, 4 and 16 samples."""
MAX_LENGTH = 768
"""Tokens of a sample: those of an image, at most 5 tiles of 64, and of up to ten turns all fit."""
STAGE_2_BATCH = 4
"""With few samples, many small steps learn to read better than few large ones (docs/experiments.md)."""


def encoders(encoder: str, share: float) -> Pretraining:
    """Return the recipe of the ViT and a high-resolution encoder, which all seeds share."""
    kind, width = ENCODERS[encoder]
    return Pretraining(
        name=f"ablation-{encoders_folder(encoder)}",
        task="encoders",
        steps=_scaled(ENCODER_STEPS, share),
        learning_rate=1.5e-3,
        global_batch=8,
        micro_batch=8,
        high_res_kind=kind,
        high_res_width=width,
        several_sizes=True,
        **_SIZES,
        **_RUN | {"precision": "bf16"},
    )


def language(variant: Variant, seed: int, share: float) -> Pretraining:
    """Return the recipe of the language model, which all variants with this number of visual tokens share."""
    return Pretraining(
        name=f"ablation-{language_folder(variant, seed)}",
        task="language-with-labels",
        steps=_scaled(LANGUAGE_STEPS, share),
        learning_rate=1e-3,
        warmup_ratio=0.01,
        global_batch=4,
        micro_batch=4,
        low_res_size=variant.low_res_size,
        seed=seed,
        **_SIZES,
        **_RUN,
    )


def alignment(variant: Variant, seed: int, root: str, share: float) -> Pretraining:
    """Return the recipe of stage 1, which all variants that only differ in stage 2 share."""
    kind, width = ENCODERS[variant.encoder or ENCODER]
    trained = f"{root}/{encoders_folder(variant.encoder or ENCODER)}"
    return Pretraining(
        name=f"ablation-{aligned_folder(variant, seed)}",
        task="alignment-with-labels",
        steps=_scaled(ALIGN_STEPS, share),
        learning_rate=2e-3,
        global_batch=16,
        micro_batch=16,
        low_res_size=variant.low_res_size,
        high_res_kind=kind,
        high_res_width=width,
        high_res_size=variant.high_res_size,
        low_res_encoder=encoder_file(trained, "vision_tower"),
        high_res_encoder=None if variant.encoder is None else encoder_file(trained, "high_res_vision_tower"),
        language=f"{root}/{language_folder(variant, seed)}/{PRETRAINED_FILE['language-with-labels']}",
        seed=seed,
        **_SIZES,
        **_RUN,
    )


def instruction(variant: Variant, seed: int, root: str, share: float) -> Recipe:
    """Return the recipe of stage 2, which is specific to the variant."""
    return Recipe(
        name=f"ablation-{instructed_folder(variant, seed)}",
        stage="instruct",
        base=f"{root}/{aligned_folder(variant, seed)}/{CHECKPOINT}",
        data=tuple(
            DataPart(f"{PREFIX}{SMALL}{skill}#{_scaled(count, share)}")
            for part in variant.parts
            for skill, count in PARTS[part].items()
        ),
        tiling="hd" if variant.hd else "base",
        learning_rate=1e-3,
        connector_lr_multiplier=0.3,
        global_batch=STAGE_2_BATCH,
        micro_batch=STAGE_2_BATCH,
        max_length=MAX_LENGTH,
        gradient_checkpointing=False,
        features=f"{root}/features",
        features_gb=FEATURES_GB,
        seed=seed,
        **_RUN,
    )


def encoders_folder(encoder: str) -> str:
    """Return the folder of an encoder's run."""
    return f"encoders-{encoder}"


def language_folder(variant: Variant, seed: int) -> str:
    """Return the folder of the language model."""
    return f"language-{variant.tokens}-{seed}"


def aligned_folder(variant: Variant, seed: int) -> str:
    """Return the folder of stage 1."""
    return f"align-{variant.encoder or 'no-mining'}-{variant.high_res_size}-{variant.tokens}-{seed}"


def instructed_folder(variant: Variant, seed: int) -> str:
    """Return the folder of stage 2 and of its answers."""
    words = "".join(letter for letter in variant.name.lower() if letter.isalnum() or letter in " -")
    return f"{words.replace(' ', '-')}-{seed}"


def _scaled(number: int, share: float) -> int:
    """Return a share of a number of steps or samples, at least 1."""
    return max(1, round(number * share))
