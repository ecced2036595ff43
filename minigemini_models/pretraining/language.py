"""The language model alone learns the language of the drawn world, from its conversations without their pictures."""

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
"""Most tokens of a row. Texts of five turns have 112 at most; padded side by side, 4 tokens in 10 were padding."""
FIRST_SEED = 10**8
"""Behind all samples of stage 2, which are to be new when their pictures are shown."""


def language(recipe: Pretraining) -> PretrainingTask:
    """Say every token of conversations, questions included."""
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
    """The conversation of a number as text alone, every token to be learnt."""

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
