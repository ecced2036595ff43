"""Recipes of the two training steps of `small`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from minigemini.training.recipe import CHECKPOINT
from minigemini.training.settings import RecipeError, RunSettings

if TYPE_CHECKING:
    from minigemini.training.estimate.parameter_counts import ParameterCounts
    from minigemini.training.run_setup import RunSetup

VISION_FILE = "vision.safetensors"


@dataclass(frozen=True, kw_only=True)
class SmallTraining(RunSettings):
    """A step of `small`. Sample i is made from seed i, so runs have no epochs.

    Attributes:
        learns: `visual-words` trains patch info mining and the words of drawn things on dense labels of drawn scenes;
            `answers` trains a LoRA of the language model and the embeddings of all visual words on lessons.
        steps: optimizer steps.
        vision: the result of `visual-words`, which `answers` starts from.
        word_cache: folder in which `answers` keeps the visual words of pictures.
        lora_rank, lora_alpha: rank of the LoRA on all Linears, and its scale times the rank.
    """

    learns: Literal["visual-words", "answers"]
    steps: int
    vision: str | None = None
    word_cache: str = "runs/small/visual-words"
    lora_rank: int = 16
    lora_alpha: int = 32

    KIND_KEY: ClassVar = "learns"
    ABOVE_ZERO: ClassVar = (*RunSettings.ABOVE_ZERO, "steps", "lora_rank", "lora_alpha")
    FREE: ClassVar = RunSettings.FREE | {"word_cache"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learns == "answers" and self.vision is None:
            raise RecipeError(f"{self.name}: set vision to the result of a `visual-words` step")

    def result_path(self, folder: Path) -> Path:
        """Return the file of the vision part, or the folder of everything but the language model."""
        return folder / (VISION_FILE if self.learns == "visual-words" else CHECKPOINT)

    def set_up(self, folder: Path, state: Any) -> "RunSetup":
        """See `RunSettings.set_up`."""
        from .small_run import set_up

        return set_up(self, state)

    def count_parameters(self, device: Any) -> "ParameterCounts":
        """See `RunSettings.count_parameters`."""
        from .small_run import count_parameters

        return count_parameters(self)

    def run_length(self) -> tuple[int | None, int, str]:
        """Return the number of steps; every sample is new, so there are no epochs."""
        return None, self.steps, ""

    def summary(self) -> str:
        """One line for a list of recipes."""
        return f"{self.learns}: rate {self.learning_rate:g}, batch {self.global_batch}, {self.steps} steps"
