"""A step before the stages, as a recipe: an encoder, the language model, mining or the image generator alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from minigemini.training.recipe import CHECKPOINT
from minigemini.training.settings import RecipeError, RunSettings

if TYPE_CHECKING:
    from minigemini.training.estimate.parameter_counts import ParameterCounts
    from minigemini.training.run_setup import RunSetup

PRETRAINED_FILE = {
    "low-res-encoder": "encoder.safetensors",
    "high-res-encoder": "encoder.safetensors",
    "language": "language_model.safetensors",
}
"""What a step before the stages leaves in its folder; `mining` leaves a checkpoint
in `CHECKPOINT`, `painter` a pipeline."""


@dataclass(frozen=True, kw_only=True)
class Pretraining(RunSettings):
    """A step before the stages, for a model that is trained from nothing on the drawn world.

    Sample i is drawn from seed i. What it learns from is dense labels, and linear heads that are thrown away; of
    `language`, text.

    Attributes:
        task: `low-res-encoder` and `high-res-encoder` train one encoder alone; `language` the language model alone;
            `mining` teaches mining and the projector to hand on what both frozen encoders see;
            `painter` trains the embedded painter.
        steps: optimiser steps.
        init_from: a checkpoint, or for `painter` a painter, named as anywhere; its parts go on learning, in place of
            random ones.
        world: the whole drawn world, or a small one that is learnt in minutes (`world.material.SMALL_WORLD`).
        low_res_width, low_res_layers: of the ViT.
        high_res_width: channels of the ConvNeXt's first stage; each stage has twice as many as the one before.
        high_res_size: pixels a side of what the ConvNeXt sees of a picture.
        text_width, text_layers: of the language model.
        low_res_encoder, high_res_encoder, language: files that the steps before left, of which `mining` makes a model;
            without a high-resolution encoder the model is the paper's baseline, which has no mining.
    """

    task: Literal["low-res-encoder", "high-res-encoder", "language", "mining", "painter"]
    steps: int
    init_from: str | None = None
    world: Literal["whole", "small"] = "whole"
    low_res_width: int = 192
    low_res_layers: int = 6
    high_res_width: int = 40
    high_res_size: int = 256
    text_width: int = 256
    text_layers: int = 6
    low_res_encoder: str | None = None
    high_res_encoder: str | None = None
    language: str | None = None

    KIND_KEY: ClassVar = "task"
    ABOVE_ZERO: ClassVar = (
        *RunSettings.ABOVE_ZERO,
        *("steps", "low_res_width", "low_res_layers", "high_res_width", "high_res_size", "text_width", "text_layers"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task == "mining" and (self.low_res_encoder is None or self.language is None):
            raise RecipeError(f"{self.name}: mining needs what came before; give low_res_encoder and language")

    def result_path(self, folder: Path) -> Path:
        """A file of the parts that were trained, or a checkpoint's folder."""
        return folder / PRETRAINED_FILE.get(self.task, CHECKPOINT)

    def set_up(self, folder: Path, state: Any) -> "RunSetup":
        """See `RunSettings.set_up`."""
        from .pretraining_run import set_up

        return set_up(self, state)

    def count_parameters(self, device: Any) -> "ParameterCounts":
        """See `RunSettings.count_parameters`."""
        from .pretraining_run import count_parameters

        return count_parameters(self)

    def run_length(self) -> tuple[int | None, int, str]:
        """Every sample is made anew, so there are no epochs."""
        return None, self.steps, ""

    def summary(self) -> str:
        """One line for a list of recipes."""
        start = self.init_from or "nothing"
        return f"{self.task}: rate {self.learning_rate:g}, batch {self.global_batch}, {self.steps} steps, from {start}"
