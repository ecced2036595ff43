"""The recipes of nano, the embedded checkpoint, in the paper's order: encoders, stage 1, stage 2, on the drawn world.

Each nano grows out of the one before: its encoders, its mining and its language model go on from what they know.

The twin without mining shares encoder and language model, and goes through the same steps on the same samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from minigemini.training.recipe import CHECKPOINT, STAGE_1_FILE, DataPart, Recipe
from minigemini.training.recipe_registry import Pipeline
from minigemini.training.settings import RunSettings

from ..pretraining.pretraining_recipe import PRETRAINED_FILE, Pretraining

ROOT = "runs/nano"
"""Where each step keeps a folder of its own, by its name."""

INIT_FROM = "nano"
"""What the steps before the stages begin with: the checkpoint that is embedded now. From nothing (`init_from=none`)
they take two to seven times the steps."""
TWIN = "nano-without-mining"
STAGE_1_RATE = 1e-4
STAGE_2_RATES: dict[str, Any] = {"learning_rate": 1e-3, "connector_lr_multiplier": 0.05}
"""Gentle on mining and the projector: what they have learnt to hand on, and captions seldom ask for, is soon lost."""
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
"""What is learnt next, in this order, and from how many samples: to find a thing by its name, its colour first, then
whether it is there, in which picture, where, and whether it stands so to another. Each step begins with what the one
before has taught alone."""
INSTRUCT = {
    **{"signs": 180_000, "crowded": 50_000, "quizzes": 70_000, "lessons": 50_000, "requests": 50_000},
    **{"tinted-quizzes": 20_000, "inventories": 20_000, "pairs": 40_000},
    **{"names-asked": 16_000, "absent-asked": 12_000, "which-asked": 20_000, "halves-told": 6_000},
    **{"places-told": 12_000, "related-told": 12_000, "related-asked": 30_000},
    **{"changes-told": 12_000, "changes-asked": 16_000},
}
"""What all ends with, so that nothing is forgotten: samples by what is drawn, more than are used."""
DOCUMENT_STEPS = {
    "hd-lines": {"lines": 1280},
    "hd-told": {"pages-told": 1800, "pages-asked": 300, "lines": 300},
    "hd": {"pages-asked": 2464, "pages": 806, "lines": 538, "pages-told": 448, "lessons": 224},
}
"""What is learnt with 2 x 2 tiles, in this order, and from how many samples: to read where only one line is, then
pages from their top or by name, then to answer about them; and a few scenes lest they be forgotten."""
PIPELINES = {
    "nano": (
        *("nano-low-res-encoder", "nano-high-res-encoder", "nano-language", "nano-mining"),
        *("nano-align", "nano-signs", *(f"nano-{what}" for what in LOOKUP_STEPS), "nano-instruct"),
        *(f"nano-{what}" for what in DOCUMENT_STEPS),
    ),
    TWIN: (
        *("nano-low-res-encoder", "nano-language", f"{TWIN}-projector"),
        *(f"{TWIN}-align", f"{TWIN}-signs", *(f"{TWIN}-{what}" for what in LOOKUP_STEPS), f"{TWIN}-instruct"),
    ),
}
"""The steps from nothing to a checkpoint, by the name that runs them all."""

SMALL: dict[str, Any] = {
    "precision": "fp32",
    "weight_decay": 0.05,
    "adam_beta2": 0.98,
    "workers": 1,
    "save_steps": 250,
}
"""What all steps share: models so small take decay, and a CPU multiplies in float32."""


def nano_recipes(root: str = ROOT) -> dict[str, RunSettings]:
    """Every step of nano and its twin by its name, each starting from what those before it left under `root`."""
    steps: list[RunSettings] = [
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
        image_generator(),
    ]
    return {step.name: step for step in steps}


def low_res_encoder() -> Pretraining:
    """The ViT alone names thing and colour of every patch of scenes, seen at a quarter of their size."""
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
    """The ConvNeXt alone reads every letter and names every thing of small pictures."""
    return replace(
        low_res_encoder(), name="nano-high-res-encoder", task="high-res-encoder", steps=4500, learning_rate=1.5e-3
    )


def language() -> Pretraining:
    """The language model alone learns to speak, from conversations without their pictures; not for long, as that is no
    way to keep in mind how to look at one."""
    return replace(low_res_encoder(), name="nano-language", task="language", steps=400, learning_rate=5e-4)


def mining(root: str) -> Pretraining:
    """Mining and projector learn to hand on what both frozen encoders see; the paper begins with encoders that CLIP has
    brought into one space, ours have never met."""
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
        language=f"{root}/nano-language/{PRETRAINED_FILE['language']}",
    )


def align(root: str) -> Recipe:
    """Stage 1, on captions."""
    return Recipe(
        name="nano-align",
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
    """Stage 2 begins with one short text a picture. Where there are many, to look at all of them at once tells nothing,
    and reading does not begin."""
    return replace(
        align(root),
        name="nano-signs",
        stage="instruct",
        base=f"{root}/nano-align/{STAGE_1_FILE}",
        data=(DataPart("synthetic:signs#8000"),),
        **STAGE_2_RATES,
    )


def looking_up(root: str, name: str = "nano") -> list[Recipe]:
    """Stage 2 goes on with things by their names, what is asked about them told ever farther behind those."""
    first = replace(signs(root), base=f"{root}/{name}-signs/{CHECKPOINT}", global_batch=8, micro_batch=8)
    return _one_after_another(root, name, first, LOOKUP_STEPS)


def instruct(root: str) -> Recipe:
    """Stage 2, on signs, on many short questions a picture, on things looked up by their names, on conversations about
    one picture or two, on pictures full of words or things (a step has few answers to learn from, and those are many or
    long), and on requests."""
    return replace(
        signs(root),
        name="nano-instruct",
        base=f"{root}/{looking_up(root)[-1].name}/{CHECKPOINT}",
        data=_drawn(INSTRUCT),
        steps=5000,
        max_length=512,
        row_length=512,
    )


def reading_pages(root: str) -> list[Recipe]:
    """Stage 2 goes on for a while with 2 x 2 tiles and the whole picture."""
    first = replace(
        instruct(root),
        base=f"{root}/nano-instruct/{CHECKPOINT}",
        tiling="hd",
        steps=None,
        learning_rate=8e-4,
        connector_lr_multiplier=0.1,
        global_batch=8,
        micro_batch=4,
        max_length=1024,
        row_length=1024,
    )
    return _one_after_another(root, "nano", first, DOCUMENT_STEPS)


def image_generator() -> Pretraining:
    """The painter that draws nano's captions."""
    return replace(
        low_res_encoder(), name="nano-painter", task="painter", init_from=None, steps=6000, weight_decay=0.01
    )


def twins(root: str) -> list[RunSettings]:
    """The same steps of a model without a high-resolution encoder."""
    projector = replace(mining(root), name=f"{TWIN}-projector", high_res_encoder=None)
    first = replace(align(root), name=f"{TWIN}-align", base=f"{root}/{projector.name}/{CHECKPOINT}")
    second = replace(signs(root), name=f"{TWIN}-signs", base=f"{root}/{first.name}/{STAGE_1_FILE}")
    by_name = looking_up(root, TWIN)
    last = replace(instruct(root), name=f"{TWIN}-instruct", base=f"{root}/{by_name[-1].name}/{CHECKPOINT}")
    return [projector, first, second, *by_name, last]


def _one_after_another(root: str, name: str, first: Recipe, learnt: Mapping[str, Mapping[str, int]]) -> list[Recipe]:
    """A recipe for each of what is `learnt`, from its samples, starting from what the one before leaves."""
    steps, base = list[Recipe](), first.base
    for what, parts in learnt.items():
        step = replace(first, name=f"{name}-{what}", base=base, data=_drawn(parts))
        steps.append(step)
        base = f"{root}/{step.name}/{CHECKPOINT}"
    return steps


def _drawn(parts: Mapping[str, int]) -> tuple[DataPart, ...]:
    return tuple(DataPart(f"synthetic:{part}#{samples}") for part, samples in parts.items())


EXPORT = "export"
"""The step that copies the finished checkpoint to where it is looked for."""


def pipeline_steps(name: str) -> tuple[str, ...]:
    """Steps in order; the checkpoint is exported before it is tuned for HD."""
    steps = PIPELINES[name]
    last = steps.index(f"{name}-instruct") + 1
    return (*steps[:last], EXPORT, *steps[last:])


def _pipeline(name: str) -> Pipeline:
    def run(folder: Path, settings: Mapping[str, str], only: Sequence[str]) -> Path:
        from .training_pipeline import train_pipeline

        return train_pipeline(name, folder, settings, only)

    return Pipeline(", ".join(PIPELINES[name]), pipeline_steps(name), Path(ROOT), lambda settings: None, run)


NANO, NANO_WITHOUT_MINING = _pipeline("nano"), _pipeline(TWIN)
