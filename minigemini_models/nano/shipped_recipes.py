"""Recipes of the embedded checkpoint, in the paper's order: encoders, stage 1, stage 2.

A new nano is initialized from the previous one: its encoders, its mining and its language model continue from the
embedded weights. The twin without mining shares the low-resolution encoder and the language model, and takes the same
steps on the same samples.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from minigemini.training.recipe import CHECKPOINT, STAGE_1_FILE, DataPart, Recipe
from minigemini.training.settings import RunSettings

from ..pretraining.pretraining_recipe import PRETRAINED_FILE, Pretraining
from .nano_recipes import ROOT, SMALL

INIT_FROM = "nano"
"""Checkpoint that initializes the steps before stage 1: the embedded one. From random weights (`init_from=none`) they
take two to seven times as many steps."""
TWIN = "nano-without-mining"
STAGE_1_RATE = 1e-4
STAGE_2_RATES: dict[str, Any] = {"learning_rate": 1e-3, "connector_lr_multiplier": 0.05}
"""Low learning rate for the connector: captions rarely exercise its OCR features, and a higher rate erases them."""
LOOKUP_STEPS = {
    "colours": {"colours": 2400},
    "colours-told": {"colours-told": 1760},
    "colours-asked": {"colours-asked": 1920},
    "names-told": {"absent-told": 800, "which-told": 1600, "halves-told": 1200, "signs": 400},
    "names-asked": {"absent-asked": 450, "names-asked": 450, "which-asked": 450, "places-told": 670, "signs": 220},
    "places": {"places-told": 700, "which-asked": 260, "names-asked": 260, "signs": 270},
    "related-told": {"related-told": 4000, "places-told": 600},
    "related-asked": {"related-asked": 6400, "related-told": 800},
}
"""Steps that teach looking up an object by name, in order, with the number of samples per dataset: its color, its
presence, the image that shows it, its position, and its position relative to another. Each step builds on the skill
of the previous one."""
INSTRUCT = {
    **{"signs": 180_000, "crowded": 50_000, "quizzes": 70_000, "lessons": 50_000, "requests": 50_000},
    **{"tinted-quizzes": 20_000, "inventories": 20_000, "pairs": 40_000},
    **{"names-asked": 16_000, "absent-asked": 12_000, "which-asked": 20_000, "halves-told": 6_000},
    **{"places-told": 12_000, "related-told": 12_000, "related-asked": 30_000},
    **{"changes-told": 12_000, "changes-asked": 16_000},
}
"""Samples per dataset of the last step, which mixes all skills so that none is forgotten. Not all of them are used."""
DOCUMENT_STEPS = {
    "hd-lines": {"lines": 1280},
    "hd-told": {"pages-told": 1800, "pages-asked": 300, "lines": 300},
    "hd-pages": {"pages-asked": 2464, "pages": 806, "lines": 538, "pages-told": 448, "lessons": 224},
}
"""Steps with 2 x 2 tiles, in order, with the number of samples per dataset: reading a single line, then pages from the
top or by field name, then answering questions about them. A few scenes keep the earlier skills."""


def shipped_recipes(root: str = ROOT) -> dict[str, RunSettings]:
    """Return every step of nano and its twin by name; each starts from the results of earlier steps under `root`."""
    recipes: list[RunSettings] = [
        low_res_encoder(),
        high_res_encoder(),
        language(),
        mining(root),
        align(root),
        signs(root),
        *looking_up(root),
        instruct(root),
        *reading_pages(root),
        *twins(root),
    ]
    return {recipe.name: recipe for recipe in recipes}


def low_res_encoder() -> Pretraining:
    """Pretrain the ViT to classify object and color of every patch, at a quarter of the scene's size."""
    return Pretraining(
        name="nano-low-res-encoder",
        task="low-res-encoder",
        init_from=INIT_FROM,
        steps=2600,
        learning_rate=1e-3,
        global_batch=32,
        micro_batch=32,
        **SMALL,
    )


def high_res_encoder() -> Pretraining:
    """Pretrain the ConvNeXt to classify every letter and every object of small images."""
    return replace(
        low_res_encoder(), name="nano-high-res-encoder", task="high-res-encoder", steps=4500, learning_rate=1.5e-3
    )


def language() -> Pretraining:
    """Pretrain the language model on conversations without their images; briefly, because it forgets to use images."""
    return replace(low_res_encoder(), name="nano-text", task="language", steps=400, learning_rate=5e-4)


def mining(root: str) -> Pretraining:
    """Pretrain mining and projector on the features of both frozen encoders.

    The paper's encoders share a space, because both were trained with CLIP's objective; ours were trained separately.
    """
    return replace(
        low_res_encoder(),
        name="nano-mining",
        task="mining",
        steps=800,
        learning_rate=2e-3,
        global_batch=16,
        micro_batch=16,
        low_res_encoder=f"{root}/nano-low-res-encoder/{PRETRAINED_FILE['low-res-encoder']}",
        high_res_encoder=f"{root}/nano-high-res-encoder/{PRETRAINED_FILE['high-res-encoder']}",
        language=f"{root}/nano-text/{PRETRAINED_FILE['language']}",
    )


def align(root: str) -> Recipe:
    """Stage 1: train the connector on captions."""
    return Recipe(
        name="nano-captions",
        stage="align",
        base=f"{root}/nano-mining/{CHECKPOINT}",
        data=(DataPart("synthetic:captions#4000"),),
        learning_rate=STAGE_1_RATE,
        global_batch=16,
        micro_batch=16,
        max_length=384,
        row_length=384,
        gradient_checkpointing=False,
        **SMALL,
    )


def signs(root: str) -> Recipe:
    """Start stage 2 with one short text per image.

    With several texts per image, attending to all of them is no better than guessing, and reading is not learned.
    """
    return replace(
        align(root),
        name="nano-signs",
        stage="instruct",
        base=f"{root}/nano-captions/{STAGE_1_FILE}",
        data=(DataPart("synthetic:signs#8000"),),
        **STAGE_2_RATES,
    )


def looking_up(root: str, name: str = "nano") -> list[Recipe]:
    """Continue stage 2 with looking up objects by name; step by step, the attribute is farther from the name."""
    first = replace(signs(root), base=f"{root}/{name}-signs/{CHECKPOINT}", global_batch=8, micro_batch=8)
    return _in_sequence(root, name, first, LOOKUP_STEPS)


def instruct(root: str) -> Recipe:
    """Continue stage 2 on all skills: signs, short questions, looking up objects, dialogs about one or two images,
    image requests, and images full of words or objects, whose many or long answers make up for the small batches."""
    return replace(
        signs(root),
        name="nano-skills",
        base=f"{root}/{looking_up(root)[-1].name}/{CHECKPOINT}",
        data=_synthetic(INSTRUCT),
        steps=5000,
        max_length=512,
        row_length=512,
    )


def reading_pages(root: str) -> list[Recipe]:
    """Finish stage 2 with 2 x 2 tiles and the whole image."""
    first = replace(
        instruct(root),
        base=f"{root}/nano-skills/{CHECKPOINT}",
        tiling="hd",
        steps=None,
        learning_rate=8e-4,
        connector_lr_multiplier=0.1,
        global_batch=8,
        micro_batch=4,
        max_length=1024,
        row_length=1024,
    )
    return _in_sequence(root, "nano", first, DOCUMENT_STEPS)


def twins(root: str) -> list[RunSettings]:
    """Return the same steps for a model without a high-resolution encoder."""
    projector = replace(mining(root), name=f"{TWIN}-projector", high_res_encoder=None)
    first = replace(align(root), name=f"{TWIN}-captions", base=f"{root}/{projector.name}/{CHECKPOINT}")
    second = replace(signs(root), name=f"{TWIN}-signs", base=f"{root}/{first.name}/{STAGE_1_FILE}")
    by_name = looking_up(root, TWIN)
    last = replace(instruct(root), name=f"{TWIN}-skills", base=f"{root}/{by_name[-1].name}/{CHECKPOINT}")
    return [projector, first, second, *by_name, last]


def _in_sequence(root: str, name: str, first: Recipe, datasets: Mapping[str, Mapping[str, int]]) -> list[Recipe]:
    """Return one recipe per entry of `datasets`; each starts from the checkpoint of the previous one."""
    steps, base = list[Recipe](), first.base
    for what, parts in datasets.items():
        step = replace(first, name=f"{name}-{what}", base=base, data=_synthetic(parts))
        steps.append(step)
        base = f"{root}/{step.name}/{CHECKPOINT}"
    return steps


def _synthetic(parts: Mapping[str, int]) -> tuple[DataPart, ...]:
    return tuple(DataPart(f"synthetic:{part}#{samples}") for part, samples in parts.items())
