"""Recipes of nano, from random weights: encoders, language, align, instruct, hd.

Each step starts from the results of earlier ones; the first two from nothing, and side by side. The twin without mining
shares the low-resolution encoder and the language model, and takes the same steps on the same samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from minigemini.training.recipe import CHECKPOINT, Recipe
from minigemini.training.recipe_registry import Pipeline
from minigemini.training.settings import RunSettings

from ..pretraining.pretraining_recipe import PRETRAINED_FILE, Pretraining, encoder_file
from .curriculum import HD_MIXTURE, INSTRUCT_MIXTURE, mixture_parts

ROOT = "runs/nano"
"""Parent of the folders of the steps, which are named like the steps."""
NAME, TWIN = "nano", "nano-without-mining"
ENCODERS, LANGUAGE = "nano-encoders", "nano-language"
EXPORT = "export"
"""Step that copies a finished checkpoint to its final folder."""
PIPELINES = {
    NAME: (ENCODERS, LANGUAGE, "nano-align", "nano-instruct", EXPORT, "nano-hd"),
    TWIN: (ENCODERS, LANGUAGE, f"{TWIN}-align", f"{TWIN}-instruct", EXPORT),
}
"""Steps of each pipeline; the checkpoint is exported before it is tuned for high resolution."""

SHARED: dict[str, Any] = {
    "precision": "fp32",
    "weight_decay": 0.05,
    "adam_beta2": 0.98,
    "workers": 1,
    "save_steps": 250,
}
"""Settings of all steps. Models this small profit from weight decay, and CPUs compute in float32."""
INSTRUCT_SAMPLES, HD_SAMPLES = 32_000, 2_000


def nano_recipes(root: str = ROOT, scale: float = 1.0) -> dict[str, RunSettings]:
    """Return every step of nano and its twin, and the recipe of the image generator, by name.

    Args:
        root: parent of the steps' folders.
        scale: factor on the samples of all steps of the pipelines, to try them on a small part.
    """
    recipes: list[RunSettings] = [
        *(replace(step, scale=scale) for step in (encoders(), language(), align(root), align(root, TWIN))),
        instruct(root, scale),
        instruct(root, scale, TWIN),
        hd(root, scale),
        image_generator(),
    ]
    return {recipe.name: recipe for recipe in recipes}


def encoders() -> Pretraining:
    """Train ViT and ConvNeXt side by side to say what every patch of a scene shows."""
    return Pretraining(
        name=ENCODERS,
        task="encoders",
        steps=30_000,
        learning_rate=1.2e-3,
        global_batch=4,
        micro_batch=4,
        **{**SHARED, "precision": "bf16", "save_steps": 500},
    )


def language() -> Pretraining:
    """Train the language model with perfect eyes, on lessons of all skills.

    Small batches: the number of steps decides when looking things up begins, not the number of lessons.
    """
    return Pretraining(
        name=LANGUAGE,
        task="language-with-labels",
        steps=40_000,
        learning_rate=1e-3,
        warmup_ratio=0.005,
        global_batch=4,
        micro_batch=4,
        **SHARED,
    )


def align(root: str, name: str = NAME) -> Pretraining:
    """Stage 1: train mining and projector to give the tokens that the language model has learned to read."""
    trained = f"{root}/{ENCODERS}"
    return Pretraining(
        name=f"{name}-align",
        task="alignment-with-labels",
        steps=600,
        learning_rate=2e-3,
        global_batch=16,
        micro_batch=16,
        low_res_encoder=encoder_file(trained, "vision_tower"),
        high_res_encoder=None if name == TWIN else encoder_file(trained, "high_res_vision_tower"),
        language=f"{root}/{LANGUAGE}/{PRETRAINED_FILE['language-with-labels']}",
        **SHARED,
    )


def instruct(root: str, scale: float = 1.0, name: str = NAME) -> Recipe:
    """Stage 2: train connector and language model on all skills, and to refuse pictures unlike nano's world.

    Small batches, as for the language model. Low learning rate for the connector: captions rarely exercise its OCR
    features, and a higher rate erases them.
    """
    return Recipe(
        name=f"{name}-instruct",
        stage="instruct",
        base=f"{root}/{name}-align/{CHECKPOINT}",
        data=mixture_parts(INSTRUCT_MIXTURE, round(INSTRUCT_SAMPLES * scale)),
        learning_rate=5e-4,
        connector_lr_multiplier=0.1,
        global_batch=4,
        micro_batch=4,
        max_length=512,
        row_length=512,
        gradient_checkpointing=False,
        **SHARED,
    )


def hd(root: str, scale: float) -> Recipe:
    """Continue stage 2 with 2 x 2 tiles and the whole image, on pages."""
    return replace(
        instruct(root),
        name="nano-hd",
        base=f"{root}/nano-instruct/{CHECKPOINT}",
        data=mixture_parts(HD_MIXTURE, round(HD_SAMPLES * scale)),
        tiling="hd",
        max_length=1024,
        row_length=1024,
    )


def image_generator() -> Pretraining:
    """Train the image generator that draws nano's captions."""
    return Pretraining(
        name="nano-painter",
        task="painter",
        steps=6000,
        learning_rate=1e-3,
        global_batch=32,
        micro_batch=32,
        **{**SHARED, "weight_decay": 0.01},
    )


def _pipeline(name: str) -> Pipeline:
    def run(folder: Path, settings: Mapping[str, str], only: Sequence[str]) -> Path:
        from .training_pipeline import train_pipeline

        return train_pipeline(name, folder, settings, only)

    return Pipeline(", ".join(PIPELINES[name]), PIPELINES[name], Path(ROOT), lambda settings: None, run)


NANO, NANO_WITHOUT_MINING = _pipeline(NAME), _pipeline(TWIN)
