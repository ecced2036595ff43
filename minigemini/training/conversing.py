"""The steps of nano's recipe that learn from words: the language model alone, captions, conversations."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import pad

from ..model import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from ..model.generation import IGNORED
from ..world.lessons import Lesson, sample_caption, sample_lesson
from ..world.samples import label
from ..world.turns import messages
from .heads import PatchHeads
from .loop import Batch
from .vision import freeze_all_but

CAPTION_KINDS = ("single", "few", "count", "sign", "words")
LESSON_KINDS = (
    *("single", "few", "sign", "count", "few", "words", "sign", "more"),
    *("single", "few", "sign", "count", "few", "words", "changed", "which"),
)
_LABEL_NAMES = ("slots", "names", "colours", "centres")
_PIXELS = ("pixel_values", "high_res_pixel_values")
_TEXTS = ("input_ids", "labels")


def caption(index: int) -> Lesson:
    """Sample of stage 1."""
    return sample_caption(index, CAPTION_KINDS[index % len(CAPTION_KINDS)])


def lesson(index: int) -> Lesson:
    """Sample of stage 2."""
    return sample_lesson(index, LESSON_KINDS[index % len(LESSON_KINDS)])


class LanguageTask:
    """Learn the language of the drawn world from its conversations, without a picture: every token is learnt."""

    def __init__(self, model: MiniGeminiForConditionalGeneration, processor: MiniGeminiProcessor) -> None:
        self.model, self.processor = model, processor
        self.module = nn.ModuleDict({"model": model})
        freeze_all_but(model, "language_model")

    def sample(self, index: int) -> Mapping[str, np.ndarray]:
        # From behind the samples of stage 2, which are to be new when their pictures are shown.
        turns = lesson(10**8 + index).turns
        inputs: Any = self.processor.apply_chat_template(
            messages(list(turns), []), tokenize=True, return_dict=True, return_tensors="np"
        )
        ids = inputs["input_ids"][0]
        return {"input_ids": ids, "labels": np.where(np.arange(len(ids)) > 0, ids, IGNORED)}

    def collate(self, samples: list[Mapping[str, np.ndarray]]) -> Batch:
        return pad_texts(samples, self.processor.tokenizer.pad_token_id)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss = self.model(**batch, return_logits=False, use_cache=False).loss
        return loss, {}


class ConversationTask:
    """Answer about pictures. The dense labels stay as a second, lighter loss on the visual tokens.

    Args:
        lessons: the sample of an index.
        trained: names of the parts that learn.
        dense_weight: of the second loss.
    """

    def __init__(
        self,
        model: MiniGeminiForConditionalGeneration,
        processor: MiniGeminiProcessor,
        heads: PatchHeads,
        lessons: Callable[[int], Lesson],
        trained: tuple[str, ...],
        dense_weight: float,
    ) -> None:
        self.model, self.processor, self.heads = model, processor, heads
        self.lessons, self.dense_weight = lessons, dense_weight
        self.module = nn.ModuleDict({"model": model, "heads": heads})
        freeze_all_but(model, *trained)

    def sample(self, index: int) -> Mapping[str, np.ndarray]:
        asked = self.lessons(index)
        labelled = [label(scene) for scene in asked.scenes]
        inputs: Any = self.processor.apply_chat_template(
            messages(list(asked.turns), [Image.fromarray(picture["image"]) for picture in labelled]),
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
            return_tensors="np",
        )
        ids, said = inputs["input_ids"][0], np.asarray(inputs["assistant_masks"][0])
        return {
            "input_ids": ids,
            "labels": np.where(said == 1, ids, IGNORED),
            **{name: np.asarray(inputs[name]) for name in _PIXELS},
            **{name: np.stack([picture[name] for picture in labelled]) for name in _LABEL_NAMES},
        }

    def collate(self, samples: list[Mapping[str, np.ndarray]]) -> Batch:
        """Pictures one behind the other in the order of the text."""
        pictures = {
            name: torch.from_numpy(np.concatenate([sample[name] for sample in samples]))
            for name in (*_PIXELS, *_LABEL_NAMES)
        }
        return {**pictures, **pad_texts(samples, self.processor.tokenizer.pad_token_id)}

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        images = self.model.get_image_features(**{name: batch[name] for name in _PIXELS})
        assert images.pooler_output is not None
        texts = {name: batch[name] for name in (*_TEXTS, "attention_mask")}
        outputs = self.model(**texts, mm_encoder_outputs={"image": images}, use_cache=False)
        dense_loss, figures = self.heads.loss(images.pooler_output, batch)
        learnt = texts["labels"][:, 1:] != IGNORED
        right = (outputs.logits[:, :-1].argmax(-1) == texts["labels"][:, 1:])[learnt].float().mean()
        return outputs.loss + self.dense_weight * dense_loss, {
            "answer_loss": outputs.loss,
            "token_accuracy": right,
            "slots_accuracy": figures["slots_accuracy"],
            "names_accuracy": figures["names_accuracy"],
        }


def pad_texts(samples: list[Mapping[str, np.ndarray]], pad_token_id: int) -> Batch:
    """Texts as one batch, padded on the right to the longest."""
    longest = max(len(sample["input_ids"]) for sample in samples)
    batch: Batch = {}
    for name, filler in zip(_TEXTS, (pad_token_id, IGNORED), strict=True):
        rows = [torch.from_numpy(sample[name]) for sample in samples]
        batch[name] = torch.stack([pad(row, (0, longest - len(row)), value=filler) for row in rows])
    lengths = torch.tensor([len(sample["input_ids"]) for sample in samples])
    batch["attention_mask"] = (torch.arange(longest) < lengths[:, None]).long()
    return batch
