"""What a run does, in one frozen object of plain values: printed, compared, saved, changed by `key=value`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from ..modeling.chat_templates import CHAT_TEMPLATES
from .settings import RecipeError, RunSettings, parse_number

if TYPE_CHECKING:
    from .estimate.parameter_counts import ParameterCounts
    from .run_setup import RunSetup

STAGE_1_FILE = "stage1.safetensors"
"""What stage 1 leaves in its folder."""
ADAPTER, CHECKPOINT = "adapter", "model"
"""Folders that stage 2 leaves in its own."""


@dataclass(frozen=True)
class DataPart:
    """A source of samples and its share of an epoch; on the command line `FILE[@IMAGES][*WEIGHT]`.

    Attributes:
        file: JSON list, JSON lines, Parquet or tar, by its ending; or so many samples of the drawn world, as
            `synthetic:lessons#1000`.
        images: folder that its pictures' paths start from; None where a shard holds the pictures.
        weight: how often an epoch goes through it.
        published_samples: how many the published file has, for a plan made before it is there.
    """

    file: str
    images: str | None = None
    weight: float = 1.0
    published_samples: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the command line's form."""
        rest, star, weight = text.rpartition("*") if "*" in text else (text, "", "1")
        file, _, images = rest.partition("@")
        return cls(file, images or None, parse_number(float, "data", weight) if star else 1.0)

    def __str__(self) -> str:
        images = f"@{self.images}" if self.images else ""
        return self.file + images + (f"*{self.weight:g}" if self.weight != 1 else "")


@dataclass(frozen=True, kw_only=True)
class Recipe(RunSettings):
    """One stage of training.

    Attributes:
        stage: `align` trains mining and the projector; `instruct` those and the language model.
        base: what training starts from, as wherever a model is named: a folder, a hub id, `nano`, or a file of small
            parts (a stage-1 result), which names its own base.
        data: sources of samples.
        geometry: how pictures are cut: as the base does, in one tile (`normal`), or in 2 x 2 tiles and the whole
            picture (`hd`), of twice the pixels a side. Another than the base's is for runs that write a whole
            checkpoint.
        chat_format: a name in `CHAT_TEMPLATES`; None is the base's own. With `plain`, samples are captions alone.
        crop: resize and centre-crop pictures; False pads them to a square.
        adapter: `lora` trains small matrices beside those of the language model, `qlora` over its weights in 4 bits;
            mining and the projector train whole.
        lora_rank, lora_alpha, lora_dropout: of the adapter.
        tune_encoders: also train the last half of the ViT and the last block of each ConvNeXt stage.
        features: folder in which the frozen encoders' outputs are kept by picture, in bfloat16, for whoever sees the
            same pictures again: another epoch, another run.
        features_gb: what that folder may grow to, in 10⁹ bytes. A picture takes 0.6 MB with nano, 28 MB with MGM-7B.
        epochs: passes over the data.
        steps: optimiser steps, in place of `epochs`.
        batching: `packed` into rows of `row_length` without padding between samples, or `grouped` by modality and
            length, a row each, padded.
        max_length: most tokens of a sample; text beyond it is cut off, a sample whose picture is, is a fault.
        row_length: most tokens of a packed row; None is `max_length`.
        gradient_checkpointing: recompute the language model's activations instead of keeping them.
        scaled_decoding: decode JPEGs of twice the high-resolution picture and more to a half or less, which is faster.
        max_bad_sample_ratio: of the samples that may be broken before the run stops.
    """

    stage: Literal["align", "instruct"]
    base: str
    data: tuple[DataPart, ...]
    tiling: Literal["base", "normal", "hd"] = "base"
    chat_format: str | None = None
    crop: bool = False
    adapter: Literal["none", "lora", "qlora"] = "none"
    lora_rank: int = 128
    lora_alpha: int = 256
    lora_dropout: float = 0.05
    tune_encoders: bool = False
    features: str | None = None
    features_gb: float = 20.0
    epochs: float = 1.0
    steps: int | None = None
    batching: Literal["packed", "grouped"] = "packed"
    max_length: int = 2048
    row_length: int | None = None
    gradient_checkpointing: bool = True
    scaled_decoding: bool = False
    max_bad_sample_ratio: float = 0.01

    KIND_KEY: ClassVar = "stage"
    ABOVE_ZERO: ClassVar = (
        *RunSettings.ABOVE_ZERO,
        *("epochs", "steps", "max_length", "row_length", "lora_rank", "lora_alpha", "features_gb"),
    )
    SHARES: ClassVar = (*RunSettings.SHARES, "max_bad_sample_ratio", "lora_dropout")
    # What a step's loss is divided by does not depend on the passes it is cut into, but for rounding.
    FREE: ClassVar = RunSettings.FREE | {"features_gb", "max_bad_sample_ratio", "micro_batch"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps is not None and self.epochs != 1:
            raise RecipeError(f"{self.name}: epochs={self.epochs:g} and steps={self.steps} are both given; give one")
        if not self.data:
            raise RecipeError(f"{self.name}: no data; give data=FILE[@IMAGES][*WEIGHT],…")
        if (self.row_length or self.max_length) < self.max_length:
            raise RecipeError(
                f"{self.name}: samples of max_length {self.max_length} do not fit into rows of {self.row_length}; "
                "give a row_length of at least as much"
            )
        if self.chat_format is not None and self.chat_format not in CHAT_TEMPLATES:
            raise RecipeError(
                f"{self.name}: chat_format {self.chat_format!r} is unknown; use {', '.join(CHAT_TEMPLATES)}"
            )
        if self.adapter != "none" and self.stage == "align":
            raise RecipeError(f"{self.name}: align leaves the language model alone, so it takes no adapter")
        if self.tune_encoders and (self.adapter != "none" or self.stage == "align"):
            raise RecipeError(f"{self.name}: tuned encoders are saved in a whole checkpoint; use instruct, no adapter")
        if self.tune_encoders and self.features is not None:
            raise RecipeError(f"{self.name}: tuned encoders give other features at each step; leave features out")
        if self.tiling != "base" and (self.adapter != "none" or self.stage == "align"):
            raise RecipeError(
                f"{self.name}: geometry {self.tiling} differs from the base's, beside which the result is loaded; "
                "assemble a base of that geometry"
            )

    def changed(self, settings: dict[str, str]) -> Self:
        """With settings of the command line; `epochs` among them takes the place of the recipe's `steps`, and steps of
        epochs.

        Raises:
            RecipeError: An unknown name, a value of another type, or both of the two.
        """
        given = {name for name in ("epochs", "steps") if settings.get(name, "none") != "none"}
        if len(given) == 2:
            raise RecipeError(
                f"{self.name}: epochs={settings['epochs']} and steps={settings['steps']} are both given; give one"
            )
        replaced = {"epochs": {"steps": "none"}, "steps": {"epochs": "1"}}
        return super().changed({**(replaced[given.pop()] if given else {}), **settings})

    @property
    def extent(self) -> str:
        """How long it trains, as the setting that says so."""
        return f"epochs={self.epochs:g}" if self.steps is None else f"steps={self.steps}"

    def result_path(self, folder: Path) -> Path:
        """What a run in a folder leaves: a file of some parts, an adapter's folder or a checkpoint's."""
        if self.stage == "align":
            return folder / STAGE_1_FILE
        return folder / (CHECKPOINT if self.adapter == "none" else ADAPTER)

    def set_up(self, folder: Path, state: Any) -> "RunSetup":
        """See `RunSettings.set_up`."""
        from .run_setup import set_up_stage

        return set_up_stage(self, folder, state)

    def count_parameters(self, device: Any) -> "ParameterCounts":
        """See `RunSettings.count_parameters`."""
        from .estimate.parameter_counts import count_stage

        return count_stage(self, device)

    def run_length(self) -> tuple[int | None, int, str]:
        """See `RunSettings.run_length`."""
        from .estimate.plan import length_of_stage

        return length_of_stage(self)

    def summary(self) -> str:
        """One line for a list of recipes."""
        adapter = "" if self.adapter == "none" else f", {self.adapter} of rank {self.lora_rank}"
        return (
            f"{self.stage}{adapter}: rate {self.learning_rate:g}, batch {self.global_batch}, "
            f"{self.max_length} tokens, from {self.base}"
        )
