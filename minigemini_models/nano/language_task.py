"""Train nano's language model with perfect eyes: visual tokens are made from the dense labels of scenes."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from minigemini.data.seed_loader import first_sample
from minigemini.modeling import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.training.settings import RecipeError

from ..pretraining.branches import BranchCollator, Branched, BranchLoss, conversation_tokens, join
from ..pretraining.init_model import init_model
from ..pretraining.pretraining_recipe import Pretraining
from ..pretraining.pretraining_task import PretrainingTask, SaveParts
from ..pretraining.scene_words import LABELS, SceneWords, patch_labels, shows_something
from ..samples.dialogs import Dialog
from ..samples.lessons.lesson import SceneLesson, stream
from ..samples.lessons.skills import SKILLS_OF_WORLD
from ..scenes.labeled_scenes import scene_labels
from .curriculum import LANGUAGE_MIXTURES
from .mixture import Mixture

ROW_LENGTH = 512
"""Tokens per row, and most of a lesson."""
_TEXT_TOKENS = 128
"""Tokens of a row that images leave to the text of a conversation."""
ALL_PATCHES_SHARE = 0.1
"""Share of lessons that also show empty patches, as encoders do. The others leave them out, which is three times as
fast, and keep the positions of the rest."""
LANGUAGE_MODEL, WORDS = "model.model.language_model", "words"


def language_with_labels(recipe: Pretraining) -> PretrainingTask:
    """Answer lessons; the output is the language model, and the embeddings of what patches show.

    Raises:
        RecipeError: two images and a conversation about them do not fit into a row.
    """
    model, processor = init_model(recipe)
    if recipe.world == "whole" and 2 * processor.num_image_tokens > ROW_LENGTH - _TEXT_TOKENS:
        raise RecipeError(
            f"{recipe.name}: lessons have up to two images, and rows {ROW_LENGTH} tokens: {processor.num_image_tokens} "
            "visual tokens an image are too many; give a smaller low_res_size"
        )
    pad: Any = processor.tokenizer.pad_token_id
    first = first_sample(recipe.seed)
    lessons = recipe.run_length()[1] * recipe.global_batch
    mixture = Mixture(LANGUAGE_MIXTURES[recipe.world], lessons, SKILLS_OF_WORLD[recipe.world])
    return PretrainingTask(
        LabelReader(model, SceneWords(model.config.text_config.hidden_size, processor.tokenizer)),
        {"language model": LANGUAGE_MODEL.replace(".", r"\.") + r"\.", "scene words": r"words\."},
        EncodedLessons(processor, mixture, first),
        BranchCollator(ROW_LENGTH, pad),
        SaveParts({f"{LANGUAGE_MODEL}.": "language_model.", f"{WORDS}.": f"{WORDS}."}),
    )


@dataclass(frozen=True)
class EncodedLessons:
    """Samples lessons as model inputs.

    Attributes:
        processor: encodes text.
        mixture: chooses the lessons.
        first: number of the run's first sample.
    """

    processor: MiniGeminiProcessor
    mixture: Mixture
    first: int = 0

    def __call__(self, number: int) -> Branched:
        lesson = self.mixture(number - self.first)
        return encode_lesson(lesson, self.processor, bool(stream("patches", number).random() < ALL_PATCHES_SHARE))


def encode_lesson(lesson: SceneLesson, processor: MiniGeminiProcessor, all_patches: bool) -> Branched:
    """Encode a lesson; its `pixels` hold the dense labels of the patches that its tokens stand for.

    Args:
        lesson: the lesson.
        processor: renders the conversations as it does for inference.
        all_patches: keep the tokens of empty patches.
    """
    dialogs = [Dialog(lesson.scenes, turns, lesson.shown) for turns in lesson.conversations]
    encoded = join([conversation_tokens(dialog.messages(), processor) for dialog in dialogs], ROW_LENGTH)
    if not lesson.scenes:
        return encoded
    side = patches_per_side(processor)
    of_scenes = [patch_labels(scene_labels(scene, scene.size_px // side)) for scene in lesson.scenes]
    labels = {name: torch.cat([one[name] for one in of_scenes]) for name in LABELS}
    kept_patches = shows_something(labels) | all_patches
    kept = torch.ones(len(encoded), dtype=torch.bool)
    kept[encoded.input_ids == processor.image_token_id] = kept_patches
    return Branched(
        encoded.input_ids[kept],
        encoded.labels[kept],
        {name: values[kept_patches] for name, values in labels.items()},
        branches=encoded.branches[kept],
        position_ids=encoded.position_ids[kept],
    )


def patches_per_side(processor: MiniGeminiProcessor) -> int:
    """Return the rows of visual tokens of an image in one tile, which are as many as its columns."""
    return math.isqrt(processor.num_image_tokens)


class LabelReader(BranchLoss):
    """The loss of packed lessons whose images are given as dense labels."""

    def __init__(self, model: MiniGeminiForConditionalGeneration, words: SceneWords) -> None:
        super().__init__(model)
        self.words = words

    def visual_tokens(self, pixels: dict[str, Tensor]) -> Tensor:
        """Return the visual tokens of n patches, (n, D), from their labels."""
        return self.words(pixels, self.model.get_input_embeddings().weight)
