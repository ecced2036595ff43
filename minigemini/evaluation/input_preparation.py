"""What workers do: the tensors of a batch, and the faults of what cannot be asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from PIL import Image
from torch.utils.data import Dataset

from ..images.safe_images import ImageError
from ..modeling import MiniGeminiProcessor
from .batched_decoding import DecodedText, cache_layout
from .runner import Batch, Failure
from .task import ImageInput, Question, open_one


@dataclass(frozen=True)
class Inputs:
    """One batch, ready.

    Attributes:
        text: its prompts.
        pixels: of each different picture, one row in each tensor; empty without pictures.
        shown: of each prompt, which rows its pictures are.
    """

    text: DecodedText
    pixels: dict[str, torch.Tensor]
    shown: list[tuple[int, ...]]


Prepared = tuple[Inputs | None, dict[str, Failure]]


class _UnaskableError(ValueError):
    """A question whose text cannot be put to a model."""


class Preparation(Dataset[Prepared]):
    """From a batch to its tensors.

    Args:
        processor: of the checkpoint.
        context_tokens: the longest prompt.
        share: whether what prompts begin with is to be read once, see `decoding`.
    """

    def __init__(self, processor: MiniGeminiProcessor, context_tokens: int, share: bool) -> None:
        self.processor, self.context_tokens, self.share = processor, context_tokens, share

    def __getitem__(self, batch: Batch) -> Prepared:
        issues: dict[str, Failure] = {}
        asked, opened = [], cast(dict[ImageInput, Image.Image], {})
        for question in batch.questions:
            try:
                self._check_text(question)
                opened |= {image: open_one(image) for image in question.images if image not in opened}
                asked.append(question)
            except (ImageError, _UnaskableError) as error:
                issues[question.id] = Failure(str(error))
        inputs = self._inputs(asked, opened)
        lengths = inputs.text.lengths if inputs else []
        fitting = [q for q, length in zip(asked, lengths, strict=True) if length < self.context_tokens]
        for question, length in zip(asked, lengths, strict=True):
            if question not in fitting:
                issues[question.id] = Failure(f"{length} tokens, but the context holds {self.context_tokens}")
        return (inputs if len(fitting) == len(asked) else self._inputs(fitting, opened)), issues

    def _check_text(self, question: Question) -> None:
        token = self.processor.image_token
        if question.prompt.count(token) > (len(question.images) if token == "<image>" else 0):
            raise _UnaskableError(f"the text holds {token}, which stands for a picture")

    def _inputs(self, questions: Sequence[Question], opened: Mapping[ImageInput, Image.Image]) -> Inputs | None:
        if not questions:
            return None
        made: Any = self.processor.apply_chat_template(
            [question.messages_with(opened) for question in questions],
            tokenize=True,
            return_dict=True,
            add_generation_prompt=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        )
        rows = zip(made["input_ids"], made["attention_mask"], strict=True)
        prompts = [ids[mask.bool()].tolist() for ids, mask in rows]
        images = [image for question in questions for image in question.images]
        order = {image: number for number, image in enumerate(dict.fromkeys(images))}
        kept = [images.index(image) for image in order]
        pixels = {name: made[name][kept] for name in made if name.endswith("pixel_values")}
        shown = [tuple(order[image] for image in question.images) for question in questions]
        tokenizer = self.processor.tokenizer
        text = cache_layout(prompts, shown, self.processor.image_token_id, int(tokenizer.pad_token_id), self.share)
        return Inputs(text, pixels, shown)
