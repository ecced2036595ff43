"""The recipes of the published models: functions that derive from each other, over a table of sizes.

Values are from the paper (arXiv 2403.18814, section 4.1 and appendix) and the authors' scripts
(github.com/dvlab-research/MGM, `scripts/*/train/*.sh`); comments mark those that only the scripts give.
"""

from dataclasses import dataclass, replace

from .recipe import STAGE_1_FILE, DataPart, Recipe

CAPTIONS = DataPart("data/MGM-Pretrain/mgm_pretrain.json", "data/MGM-Pretrain", published_samples=1_253_000)
"""558K LLaVA-filtered CC3M and 695K ALLaVA-4V captions."""
CONVERSATIONS = DataPart("data/MGM-Finetune/mgm_instruction.json", "data/MGM-Finetune", published_samples=1_500_000)
"""643K LLaVA-1.5 mix without TextCaps, 100K ShareGPT4V, 10K LAION-GPT-4V, 700K ALLaVA-4V, 6K text alone, 28K OCR, and
13K for image generation (8K re-captions, 5K in-context prompts); the scripts use one file that holds all of them."""


@dataclass(frozen=True)
class Figures:
    """Settings that differ between the published models."""

    instruct_rate: float = 2e-5
    connector_lr_multiplier: float = 1.0
    """Stage 2 only; `lr_multi` in the scripts."""
    align_format: str | None = "plain"
    """None for the model's own chat format."""
    hd: bool = True


FIGURES = {
    "2B": Figures(align_format=None, hd=False),  # scripts/gemma: --version gemma in both stages
    "7B": Figures(),
    "8B": Figures(),
    "13B": Figures(),
    "8x7B": Figures(instruct_rate=1e-5, connector_lr_multiplier=2.0),
    "34B": Figures(instruct_rate=1e-5, connector_lr_multiplier=2.0),
}


def align(size: str) -> Recipe:
    """Stage 1: train mining and the projector on captions, with frozen encoders and language model."""
    figures = FIGURES[size]
    return Recipe(
        name=f"MGM-{size}-align",
        stage="align",
        base=f"models/MGM-{size}-start",
        data=(CAPTIONS,),
        chat_format=figures.align_format,
        crop=True,
        learning_rate=1e-3,
        global_batch=256,
        micro_batch=16,
        max_length=2048,
        save_steps=500,
    )


def instruct(size: str) -> Recipe:
    """Stage 2: train connector and language model on conversations, starting from stage 1."""
    figures, first = FIGURES[size], align(size)
    return replace(
        first,
        name=f"MGM-{size}-instruct",
        stage="instruct",
        base=f"runs/{first.name}/{STAGE_1_FILE}",
        data=(CONVERSATIONS,),
        chat_format=None,
        crop=False,
        learning_rate=figures.instruct_rate,
        connector_lr_multiplier=figures.connector_lr_multiplier,
        global_batch=128,
        micro_batch=8,
    )


def instruct_hd(size: str) -> Recipe:
    """Stage 2 of an HD model: from the normal model's stage 1, with 2 x 2 tiles and a global tile."""
    return replace(instruct(size), name=f"MGM-{size}-HD-instruct", tiling="hd", max_length=4096, micro_batch=4)


def lora(recipe: Recipe) -> Recipe:
    """Stage 2 with a LoRA adapter; rank, learning rates and dropout are those of LLaVA-1.5's `finetune_lora.sh`.

    The base is a whole checkpoint that includes stage 1, because the adapter is loaded on top of it.
    """
    return replace(
        recipe,
        name=f"{recipe.name}-lora",
        base=f"models/{recipe.name.removesuffix('-instruct')}-aligned",
        tiling="base",
        adapter="lora",
        learning_rate=2e-4,
        connector_lr_multiplier=0.1,
    )


def qlora(recipe: Recipe) -> Recipe:
    """Stage 2 with a LoRA adapter on 4-bit weights."""
    return replace(lora(recipe), name=f"{recipe.name}-qlora", adapter="qlora")


def _published() -> dict[str, Recipe]:
    recipes: list[Recipe] = []
    for size, figures in FIGURES.items():
        whole = [instruct(size)] + ([instruct_hd(size)] if figures.hd else [])
        recipes += [align(size), *whole, *map(lora, whole), *map(qlora, whole)]
    return {recipe.name: recipe for recipe in recipes}


PUBLISHED_RECIPES = _published()
