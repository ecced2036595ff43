"""Recipes of pretraining steps: the encoders, the language model, the alignment or the image generator."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from minigemini.training.recipe import CHECKPOINT
from minigemini.training.settings import RecipeError, RunSettings

if TYPE_CHECKING:
    from minigemini.training.estimate.parameter_counts import ParameterCounts
    from minigemini.training.run_setup import RunSetup

PRETRAINED_FILE = {
    "encoders": "encoders",
    "language-with-labels": "language_model.safetensors",
}
"""Output file by task; that of `encoders` is a folder. `alignment-with-labels` writes a checkpoint to `CHECKPOINT`, and
`painter` a pipeline."""
LOW_RES_SIZE_PX, LOW_RES_PATCH = 64, 8
"""Side of the images that the ViT is built for, and of their patches, in their pixels."""
HighResKind = Literal["convnext", "convnextv2", "swin", "dinov3_vit"]


def encoder_file(run: str, part: str) -> str:
    """Return the file of a part, `vision_tower` or `high_res_vision_tower`, in the folder of a run of `encoders`."""
    return f"{run}/{PRETRAINED_FILE['encoders']}/{part}.safetensors"


@dataclass(frozen=True, kw_only=True)
class Pretraining(RunSettings):
    """A pretraining step of a model that is trained from random weights on synthetic scenes.

    Sample i is drawn from seed i.

    Attributes:
        task: `encoders` trains both encoders side by side on dense labels, through linear heads that are discarded;
            `language-with-labels` the language model alone, on questions about scenes whose visual tokens are made from
            dense labels; `alignment-with-labels` trains patch info mining and the projector to give those visual
            tokens, with all else frozen; `painter` trains the image generator.
        steps: optimizer steps.
        scale: factor on `steps`, to try a recipe on a small part of its samples.
        init_from: for `painter`, an image generator whose weights replace random ones: a name or a folder.
        world: domain of the scenes: `whole`, or `small`, which is learned in minutes (`splits.SMALL_DOMAIN`).
        low_res_width, low_res_layers: sizes of the ViT.
        low_res_size: side of the low-resolution image in pixels; every 8 x 8 of them are a visual token.
        high_res_kind: kind of the high-resolution encoder, see `high_res_configs`.
        high_res_width: channels of its first stage; each stage doubles them.
        high_res_size: side of the high-resolution image in pixels.
        several_sizes: `encoders` shows both encoders images of several sizes in turn, so that models can use them with
            any `low_res_size` and `high_res_size` among them.
        text_width, text_layers: sizes of the language model.
        low_res_encoder, high_res_encoder, language: output files of earlier steps, which `alignment-with-labels`
            combines into a model. Without a high-resolution encoder it is the paper's baseline without mining.
    """

    task: Literal[
        "encoders",
        "language-with-labels",
        "alignment-with-labels",
        "painter",
    ]
    steps: int
    scale: float = 1.0
    init_from: str | None = None
    world: Literal["whole", "small"] = "whole"
    low_res_width: int = 192
    low_res_layers: int = 6
    low_res_size: int = LOW_RES_SIZE_PX
    high_res_kind: HighResKind = "convnext"
    high_res_width: int = 40
    high_res_size: int = 256
    several_sizes: bool = False
    text_width: int = 256
    text_layers: int = 6
    low_res_encoder: str | None = None
    high_res_encoder: str | None = None
    language: str | None = None

    KIND_KEY: ClassVar = "task"
    ABOVE_ZERO: ClassVar = (
        *RunSettings.ABOVE_ZERO,
        *(
            "steps",
            "scale",
            "low_res_width",
            "low_res_layers",
            "low_res_size",
            "high_res_width",
            "high_res_size",
            "text_width",
            "text_layers",
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task == "alignment-with-labels" and (self.low_res_encoder is None or self.language is None):
            raise RecipeError(
                f"{self.name}: {self.task} starts from pretrained parts; set low_res_encoder and language"
            )

    def result_path(self, folder: Path) -> Path:
        """Return the file of the trained part, or the folder of the checkpoint or pipeline."""
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
        """Return the number of steps; every sample is new, so there are no epochs."""
        return None, max(1, round(self.scale * self.steps)), ""

    def summary(self) -> str:
        """One line for a list of recipes."""
        start, (_, steps, _) = self.init_from or "nothing", self.run_length()
        return f"{self.task}: rate {self.learning_rate:g}, batch {self.global_batch}, {steps} steps, from {start}"
