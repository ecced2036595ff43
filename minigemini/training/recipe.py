"""The recipe of a training stage: an immutable object of plain values, which can be saved, compared and overridden."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from ..data.curriculum import Curriculum
from ..modeling.chat_templates import CHAT_TEMPLATES
from ..modeling.native_shape import DEFAULT_MAX_TILES, MOST_TILES
from .settings import RecipeError, RunSettings, parse_number

if TYPE_CHECKING:
    from .estimate.parameter_counts import ParameterCounts
    from .run_setup import RunSetup

STAGE_1_FILE = "stage1.safetensors"
"""File name of stage 1's result."""
ADAPTER, CHECKPOINT = "adapter", "model"
"""Folder names of stage 2's results."""


@dataclass(frozen=True)
class DataPart:
    """A source of samples and its share of an epoch; on the command line `FILE[@IMAGES][*WEIGHT[*CURRICULUM]]`.

    Attributes:
        file: JSON list, JSON lines, Parquet or tar, by suffix; or generated samples, e.g. `synthetic:lessons#1000`.
        images: root folder of relative image paths; None if shards hold the images.
        weight: how often each sample occurs in an epoch.
        published_samples: number of samples in the published file, for plans without the file.
        curriculum: when in an epoch its samples come, as `PROGRESS:WEIGHT/…`, e.g. `0:1/0.5:0`; None spreads them
            evenly.
    """

    file: str
    images: str | None = None
    weight: float = 1.0
    published_samples: int | None = None
    curriculum: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the command-line form."""
        curriculum = None
        if ":" in text.rpartition("*")[2] and text.count("*") > 1:
            text, _, curriculum = text.rpartition("*")
        rest, star, weight = text.rpartition("*") if "*" in text else (text, "", "1")
        file, _, images = rest.partition("@")
        weight_or_1 = parse_number(float, "data", weight) if star else 1.0
        return cls(file, images or None, weight_or_1, curriculum=curriculum)

    def __str__(self) -> str:
        images = f"@{self.images}" if self.images else ""
        weight = f"*{self.weight:g}" if self.weight != 1 or self.curriculum else ""
        return self.file + images + weight + (f"*{self.curriculum}" if self.curriculum else "")

    def parsed_curriculum(self) -> Curriculum | None:
        """Parse `curriculum`; None without one.

        Raises:
            ValueError: It is wrong.
        """
        return None if self.curriculum is None else Curriculum.parse(self.curriculum)


@dataclass(frozen=True, kw_only=True)
class Recipe(RunSettings):
    """One stage of training.

    Attributes:
        stage: `align` trains mining and the projector; `instruct` those and the language model.
        base: the model to start from: a folder, a hub id, `nano`, or connector weights (a stage-1 result), which name
            their own base.
        data: sources of samples.
        tiling: `base` keeps the base's tiling; `normal` uses one tile, `hd` 2 x 2 tiles and a global tile, with twice
            the pixels per side, `native` up to `max_tiles` in the shape of the image and a global tile. Only runs that
            write a whole checkpoint can change it.
        max_tiles: the most tiles of an image with `tiling=native`.
        chat_format: a name in `CHAT_TEMPLATES`; None uses the base's. With `plain`, samples are captions only.
        crop: resize and center-crop images; False pads them to a square. Images in their native shape are not cropped.
        adapter: `lora` trains low-rank matrices beside those of the language model, `qlora` does so over 4-bit
            weights; mining and the projector train fully.
        lora_rank, lora_alpha, lora_dropout: settings of the adapter.
        tune_encoders: also train the last half of a ViT and the last block of each stage of other encoders.
        features: folder that caches the frozen encoders' outputs by image, in bfloat16, for later epochs and runs.
        features_gb: size limit of that folder in 10⁹ bytes. An image takes 0.6 MB with nano, 28 MB with MGM-7B.
        epochs: passes over the data.
        steps: optimizer steps, instead of `epochs`.
        batching: `packed` into rows of at most `row_length` without padding between samples, or `grouped` by modality
            and length, one padded row each.
        max_length: token limit of a sample; longer text is truncated, but a truncated image is an issue.
        row_length: token limit of a packed row; None uses `max_length`.
        gradient_checkpointing: recompute the language model's activations instead of storing them.
        scaled_decoding: decode JPEGs at half size or less if they have at least twice the pixels needed; faster.
        max_bad_sample_ratio: largest share of bad samples before the run stops.
    """

    stage: Literal["align", "instruct"]
    base: str
    data: tuple[DataPart, ...]
    tiling: Literal["base", "normal", "hd", "native"] = "base"
    max_tiles: int = DEFAULT_MAX_TILES
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
    # The loss of a step does not depend on the micro-batch size, except for rounding.
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
        if not 1 <= self.max_tiles <= MOST_TILES:
            raise RecipeError(f"{self.name}: max_tiles={self.max_tiles} is not between 1 and {MOST_TILES}; change it")
        if self.adapter != "none" and self.stage == "align":
            raise RecipeError(
                f"{self.name}: align does not train the language model, so it takes no adapter; set adapter=none"
            )
        if self.tune_encoders and (self.adapter != "none" or self.stage == "align"):
            raise RecipeError(
                f"{self.name}: tune_encoders needs a whole checkpoint as result; use stage=instruct and adapter=none"
            )
        if self.tune_encoders and self.features is not None:
            raise RecipeError(f"{self.name}: tune_encoders changes the features at each step; leave features out")
        if self.tiling != "base" and (self.adapter != "none" or self.stage == "align"):
            raise RecipeError(
                f"{self.name}: tiling={self.tiling} needs a whole checkpoint as result; use stage=instruct and "
                "adapter=none, or assemble a base with that tiling"
            )

    def changed(self, settings: dict[str, str]) -> Self:
        """Apply command-line settings; `epochs` replaces the recipe's `steps`, and `steps` its `epochs`.

        Raises:
            RecipeError: A name is unknown, a value has the wrong type, or both `epochs` and `steps` are given.
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
        """The setting that determines the length of training."""
        return f"epochs={self.epochs:g}" if self.steps is None else f"steps={self.steps}"

    def result_path(self, folder: Path) -> Path:
        """See `RunSettings.result_path`."""
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
        """One line for the list of recipes."""
        adapter = "" if self.adapter == "none" else f", {self.adapter} of rank {self.lora_rank}"
        return (
            f"{self.stage}{adapter}: rate {self.learning_rate:g}, batch {self.global_batch}, "
            f"{self.max_length} tokens, from {self.base}"
        )
