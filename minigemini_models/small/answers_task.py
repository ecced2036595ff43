"""Train the language model of `small` to answer from visual words: LoRA, and the embeddings of the words."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minigemini.data.encoding import IGNORED
from minigemini.modeling import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.modeling.head_loss import head_loss
from minigemini.training.build_model import import_peft

from ..pretraining.pretraining_task import PretrainingTask
from .curriculum import sample
from .lesson import Lesson, VisualWords
from .lesson_encoding import EncodedLesson, LessonCollator, encode_lesson
from .parts_model import build_parts, load_vision, save_parts
from .photograph_details import words_of_photograph
from .picture_words import PictureWords
from .small_recipe import SmallTraining

ROW_LENGTH = 512
"""Tokens per row, and most of a lesson. One long row would spend half of its time on attention."""
PARTS = {"adapter": r".*\.lora_[AB]\.", "embeddings": r".*\.multi_modal_projector\..*embeddings"}


def answers(recipe: SmallTraining) -> PretrainingTask:
    """Learn to answer lessons; the output is everything of `small` but the language model it adapts.

    Raises:
        RecipeError: PEFT is missing.
    """
    model, processor = build_parts()
    torch.manual_seed(recipe.seed)
    adapted = add_lora(model, recipe)
    pad: Any = processor.tokenizer.pad_token_id
    return PretrainingTask(
        AnswerModule(model),
        PARTS,
        EncodedLessons(PictureWords(model, processor, Path(recipe.word_cache)), processor),
        LessonCollator(ROW_LENGTH, pad),
        save=partial(save_parts, model=model, adapted=adapted, processor=processor),
        start=lambda: load_vision(model, recipe),
    )


@dataclass(frozen=True)
class EncodedLessons:
    """Samples lessons as model inputs."""

    words: PictureWords
    processor: MiniGeminiProcessor

    def __call__(self, number: int) -> EncodedLesson:
        lesson = sample(number)
        return encode_lesson(lesson, words_of(lesson, number, self.words), self.processor, ROW_LENGTH)


def words_of(lesson: Lesson, number: int, words: PictureWords) -> Mapping[str, VisualWords]:
    """Return the visual words of a lesson by group; empty without a picture."""
    if lesson.picture is not None:
        return words(lesson.picture, number)
    return {} if lesson.classes is None else words_of_photograph(lesson.classes, number, words.sizes)


def add_lora(model: MiniGeminiForConditionalGeneration, recipe: SmallTraining) -> Any:
    """Add a LoRA to all Linears of the language model's layers, in place; returns PEFT's wrapper.

    Raises:
        RecipeError: PEFT is missing.
    """
    peft = import_peft(recipe.name)
    pattern = r"model\.language_model\.layers\..*\.(q|k|v|o|gate|up|down)_proj"
    settings = peft.LoraConfig(r=recipe.lora_rank, lora_alpha=recipe.lora_alpha, target_modules=pattern)
    return peft.get_peft_model(model, settings)


class AnswerModule(nn.Module):
    """The loss of packed lessons whose pictures are given as visual words."""

    def __init__(self, model: MiniGeminiForConditionalGeneration) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: Tensor,
        labels: Tensor,
        position_ids: Tensor,
        attention_mask: Tensor,
        num_items_in_batch: Tensor | int | None = None,
        **words: Tensor,
    ) -> dict[str, Tensor]:
        """Return the loss.

        Args:
            input_ids: (rows, length), with one image token per visual token.
            labels: (rows, length).
            position_ids: (rows, length), restarting with each lesson.
            attention_mask: (rows, 1, length, length) bool, which tokens each token sees.
            num_items_in_batch: number of labels in the optimizer step.
            **words: `GROUP_indices` and `GROUP_weights` (pictures, 64, k), in the order of the text.
        """
        inner = self.model.model
        embeds = inner.embed(input_ids)
        if words:
            tokens = self.visual_tokens(words).to(embeds.dtype)
            embeds = embeds.masked_scatter((input_ids == inner.config.image_token_id)[..., None], tokens)
        hidden = inner.language_model(
            inputs_embeds=embeds, attention_mask=attention_mask, position_ids=position_ids, use_cache=False
        )[0]
        targets = labels[:, 1:]
        rows = targets != IGNORED
        return {"loss": head_loss(hidden[:, :-1][rows], self.model.lm_head, targets[rows], num_items_in_batch)}

    def visual_tokens(self, words: Mapping[str, Tensor]) -> Tensor:
        """Mix the embeddings of words: (pictures, 64, D). All words share what is left of a group's weight."""
        tokens = []
        for name, group in self.model.model.multi_modal_projector.groups.items():
            indices, weights = words[f"{name}_indices"], words[f"{name}_weights"]
            rest = (1 - weights.sum(-1, keepdim=True)).clamp(min=0)
            tokens.append(group.mix_top(indices, weights) + rest * group.embeddings.mean(0))
        return torch.stack(tokens).sum(0)
