"""Pretrain the language model on synthetic conversations without their images."""

from dataclasses import dataclass
from typing import Any

import torch

from minigemini.data.encoding import IGNORED, Encoded
from minigemini.data.packing import PackedCollator
from minigemini.modeling import MiniGeminiProcessor
from minigemini.training.build_model import TrainModule

from ..samples.dataset import synthetic_dialog
from ..samples.turns import messages
from .init_model import init_model
from .pretraining_recipe import Pretraining
from .pretraining_task import PretrainingTask, SavePart
from .warm_start import warm_start

ROW_LENGTH = 384
"""Tokens per row. Dialogs of five turns have at most 112 tokens; without packing, 40 % of a batch is padding."""
FIRST_SEED = 10**8
"""Beyond all samples of stage 2, so that the model has not seen their text when it sees the images."""


def language(recipe: Pretraining) -> PretrainingTask:
    """Predict every token of conversations, including questions."""
    model, processor = init_model(recipe)
    pad: Any = processor.tokenizer.pad_token_id
    part = "model.model.language_model"
    return PretrainingTask(
        TrainModule(model),
        {"language model": part.replace(".", r"\.")},
        SceneText(processor, "lessons" if recipe.world == "whole" else "small-lessons"),
        PackedCollator(ROW_LENGTH, pad),
        SavePart(part),
        start=lambda: warm_start({"language_model": model.model.language_model}, recipe, processor.tokenizer),
    )


@dataclass(frozen=True)
class SceneText:
    """Samples conversations as text only, with labels on every token."""

    processor: MiniGeminiProcessor
    what: str

    def __call__(self, number: int) -> Encoded:
        turns = synthetic_dialog(self.what, FIRST_SEED + number).turns
        inputs: Any = self.processor.apply_chat_template(
            messages(list(turns), []), tokenize=True, return_dict=True, return_tensors="np"
        )
        ids = torch.from_numpy(inputs["input_ids"][0])
        labels = ids.clone()
        labels[0] = IGNORED
        return Encoded(ids, labels)
