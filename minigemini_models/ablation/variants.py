"""The variants of the ablation, and the findings of the paper that they test (arXiv 2403.18814, tables 2 and 3).

The models have the parts and proportions of the paper's models at a thousandth of their size, and use synthetic scenes
of numbers and colored objects. TextVQA corresponds to reading a number, MME to yes-or-no questions, and MM-Vet to
descriptions, colors, counts and positions.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from minigemini.training.recipe import CHECKPOINT, STAGE_1_FILE, DataPart, Recipe
from minigemini.training.settings import RunSettings

from ..nano.nano_recipes import SMALL
from ..pretraining.pretraining_recipe import PRETRAINED_FILE, Pretraining

Encoder = Literal["narrow", "wide"]
WIDTHS: dict[Encoder, int] = {"narrow": 12, "wide": 24}
"""Channels of the first stage of the ConvNeXt."""
_SIZES: dict[str, Any] = {
    **SMALL,
    "workers": 0,  # the ablation runs one process per core
    "world": "small",
    "low_res_width": 96,
    "low_res_layers": 4,
    "text_width": 128,
    "text_layers": 4,
    "report_to": "none",
}

FEATURES_GB = 15.0
"""Maximum disk space of the feature cache, which variants and seeds share."""

READING, QUESTIONS, CAPTIONS = "small-reading", "small-questions", "small-captions"

LOW_RES_STEPS, HIGH_RES_STEPS, LANGUAGE_STEPS = 800, 3000, 300
"""Steps of 32 samples. Encoders are trained once for all variants, the language model once per seed."""
MINING_STEPS, ALIGN_SAMPLES = 300, 800
"""Before stage 2, with 16 samples per step; variants that only differ in stage 2 share them."""
STAGE_2_BATCH = 4
"""With few samples, many small steps learn to read better than few large ones (docs/experiments.md)."""


@dataclass(frozen=True)
class Variant:
    """One row of the results table.

    Attributes:
        name: name in reports.
        encoder: high-resolution encoder; None for the baseline without mining.
        high_res_size: side of the high-resolution image in pixels.
        data: number of stage-2 samples by dataset.
        hd: whether stage 2 extends the tokens with 2 x 2 tiles and a global tile, each of `high_res_size`. Scenes have
            256 pixels, so tiles of 128 see them at their original size.
    """

    name: str
    encoder: Encoder | None = "wide"
    high_res_size: int = 256
    data: tuple[tuple[str, int], ...] = ((READING, 6000), (QUESTIONS, 1000), (CAPTIONS, 1000))
    hd: bool = False


MINING = Variant("mining")
BASELINE = Variant("no mining", encoder=None)
SMALLER_IMAGE = Variant("mining, high-res picture of half the size", high_res_size=128)
SMALLER_ENCODER = Variant("mining, ConvNeXt of half the width", encoder="narrow")
NO_READING = replace(MINING, name="mining, no reading in stage 2", data=MINING.data[1:])
NO_CAPTIONS = replace(MINING, name="mining, no descriptions in stage 2", data=MINING.data[:-1])
EXTENDED = replace(SMALLER_IMAGE, name="mining, token extension", hd=True)
VARIANTS = (BASELINE, SMALLER_IMAGE, SMALLER_ENCODER, NO_READING, NO_CAPTIONS, MINING, EXTENDED)


@dataclass(frozen=True)
class Finding:
    """A comparison from the paper.

    Attributes:
        name: the finding in words.
        worse, better: the variants to compare.
        column: the column of our results to compare.
        paper: the paper's benchmark, and the scores of the worse and the better model.
    """

    name: str
    worse: Variant
    better: Variant
    column: str
    paper: tuple[str, float, float]


FINDINGS = (
    Finding("patch info mining reads more", BASELINE, MINING, "reading", ("TextVQA, LR 336", 58.2, 61.5)),
    Finding("a larger high-res picture, too", SMALLER_IMAGE, MINING, "reading", ("TextVQA, LR 224", 58.1, 59.8)),
    Finding("a larger high-res encoder, too", SMALLER_ENCODER, MINING, "reading", ("TextVQA, B to L", 58.4, 61.5)),
    Finding("data that reads, too (TextCaps)", NO_READING, MINING, "reading", ("TextVQA", 59.0, 63.2)),
    Finding("detailed descriptions help (ShareGPT4V)", NO_CAPTIONS, MINING, "the rest", ("MM-Vet", 33.8, 34.2)),
    Finding("more visual tokens read more", SMALLER_IMAGE, EXTENDED, "reading", ("TextVQA", 65.2, 68.4)),
)


def encoders(share: float) -> dict[str, Pretraining]:
    """Return the recipes of all encoders by folder."""
    first = Pretraining(
        name="ablation-low-res-encoder",
        task="low-res-encoder",
        steps=_steps(LOW_RES_STEPS, share),
        learning_rate=1e-3,
        global_batch=32,
        micro_batch=32,
        **_SIZES,
    )
    found = {"low-res-encoder": first}
    for encoder, width in WIDTHS.items():
        found[f"high-res-encoder-{encoder}"] = replace(
            first,
            name=f"ablation-high-res-encoder-{encoder}",
            task="high-res-encoder",
            steps=_steps(HIGH_RES_STEPS, share),
            learning_rate=3e-3,
            high_res_width=width,
        )
    return found


def language(seed: int, share: float) -> Pretraining:
    """Return the recipe of the language model, which all variants of a seed share."""
    return Pretraining(
        name=f"ablation-language-{seed}",
        task="language",
        steps=_steps(LANGUAGE_STEPS, share),
        learning_rate=1e-3,
        global_batch=32,
        micro_batch=32,
        **_SIZES | {"seed": seed},
    )


def alignment(variant: Variant, seed: int, root: str, share: float) -> dict[str, RunSettings]:
    """Return the recipes before stage 2 by folder: alignment on dense labels, then stage 1."""
    home = f"{root}/{aligned_folder(variant, seed)}"
    encoder = variant.encoder
    mining = replace(
        language(seed, share),
        name=f"ablation-mining-{seed}",
        task="mining",
        steps=_steps(MINING_STEPS, share),
        learning_rate=4e-3,
        global_batch=16,
        micro_batch=16,
        high_res_width=WIDTHS[encoder or "wide"],
        high_res_size=variant.high_res_size,
        low_res_encoder=f"{root}/low-res-encoder/{PRETRAINED_FILE['low-res-encoder']}",
        high_res_encoder=encoder and f"{root}/high-res-encoder-{encoder}/{PRETRAINED_FILE['high-res-encoder']}",
        language=f"{root}/language-{seed}/{PRETRAINED_FILE['language']}",
    )
    align = Recipe(
        name=f"ablation-align-{seed}",
        stage="align",
        base=f"{home}/mining/{CHECKPOINT}",
        data=(_part(CAPTIONS, ALIGN_SAMPLES, share),),
        learning_rate=1e-4,
        global_batch=16,
        micro_batch=16,
        max_length=512,
        gradient_checkpointing=False,
        features=f"{root}/features",
        features_gb=FEATURES_GB,
        **{name: value for name, value in _SIZES.items() if name in SMALL or name == "report_to"},
        seed=seed,
    )
    return {"mining": mining, "align": align}


def instruction(variant: Variant, seed: int, root: str, share: float) -> Recipe:
    """Return the recipe of stage 2, which is specific to the variant."""
    align = alignment(variant, seed, root, share)["align"]
    assert isinstance(align, Recipe)
    return replace(
        align,
        name=f"ablation-instruct-{seed}",
        stage="instruct",
        base=f"{root}/{aligned_folder(variant, seed)}/align/{STAGE_1_FILE}",
        data=tuple(_part(what, count, share) for what, count in variant.data),
        tiling="hd" if variant.hd else "base",
        global_batch=STAGE_2_BATCH,
        micro_batch=STAGE_2_BATCH,
        learning_rate=1e-3,
        connector_lr_multiplier=0.3,
    )


def aligned_folder(variant: Variant, seed: int) -> str:
    """Return the folder of the steps before stage 2, which variants that only differ in stage 2 share."""
    return f"aligned-{variant.encoder or 'no-mining'}-{variant.high_res_size}-{seed}"


def folder_of(variant: Variant, seed: int) -> str:
    """Return the folder of stage 2 and of its answers."""
    return f"{variant.name.replace(',', '').replace(' ', '-')}-{seed}"


def _steps(steps: int, share: float) -> int:
    return max(1, round(steps * share))


def _part(what: str, count: int, share: float) -> DataPart:
    return DataPart(f"synthetic:{what}#{max(1, round(count * share))}")
