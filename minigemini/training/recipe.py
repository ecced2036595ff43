"""What a run does, in one frozen object of plain values: printed, compared, saved, changed by `key=value`."""

import difflib
import types
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from ..model.chat_templates import CHAT_TEMPLATES


class RecipeError(ValueError):
    """A recipe that does not exist or cannot run; the message is one line and says what to do."""


@dataclass(frozen=True)
class DataPart:
    """A file of samples and its share of an epoch; on the command line `FILE[@IMAGES][*WEIGHT]`.

    Attributes:
        file: JSON list, JSON lines, Parquet or tar, by its ending.
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
        return cls(file, images or None, _number(float, "data", weight) if star else 1.0)


@dataclass(frozen=True)
class Recipe:
    """One stage of training.

    Attributes:
        name: by which it is run.
        stage: `align` trains mining and the projector; `instruct` those and the language model.
        base: what training starts from, as wherever a model is named: a folder, a hub id, `nano`, or a file of small
            parts (a stage-1 result), which names its own base.
        data: files of samples.
        geometry: how pictures are cut: as the base does, or as the published normal or HD models. Another than the
            base's is for runs that write a whole checkpoint.
        chat_format: a name in `CHAT_TEMPLATES`; None is the base's own. With `plain`, samples are captions alone.
        crop: resize and centre-crop pictures; False pads them to a square.
        adapter: `lora` trains small matrices beside those of the language model, `qlora` over its weights in 4 bits;
            mining and the projector train whole.
        lora_rank, lora_alpha, lora_dropout: of the adapter.
        tune_encoders: also train the last half of the ViT and the last block of each ConvNeXt stage.
        optimiser: AdamW, or bitsandbytes' with moments in 8 bits.
        schedule: of the learning rate after the warm-up.
        learning_rate: its peak.
        small_parts_rate: mining's and the projector's learning rate, as a multiple.
        warmup_share: share of the steps that warm up.
        weight_decay: of matrices.
        max_grad_norm: gradients are clipped to this norm.
        global_batch: samples per optimiser step, of all devices together.
        micro_batch: samples per device and pass; what is left of the global batch is accumulated.
        epochs: passes over the data; `steps` in its place counts optimiser steps.
        batching: `packed` into rows of `row_length` without padding between samples, or `grouped` by modality and
            length, a row each, padded.
        max_length: most tokens of a sample; text beyond it is cut off, a sample whose picture is, is a fault.
        row_length: most tokens of a packed row; None is `max_length`.
        precision: `bf16` keeps what trains in float32, multiplies in bfloat16, and holds what is frozen in bfloat16
            (float32 on a CPU, where that is faster).
        gradient_checkpointing: recompute the language model's activations instead of keeping them.
        seed: of the order of samples, of new weights and of dropout.
        workers: processes that read and encode ahead, per device.
        scaled_decoding: decode JPEGs of twice the high-resolution picture and more to a half or less, which is faster.
        checkpoint_every: optimiser steps between checkpoints.
        keep: how many of the newest checkpoints stay.
        max_faulty_share: of the samples that may be broken before the run stops.
        watch: where curves are shown: `auto` is TensorBoard if it is installed; `none`, or a name.
    """

    name: str
    stage: Literal["align", "instruct"]
    base: str
    data: tuple[DataPart, ...]
    geometry: Literal["base", "normal", "hd"] = "base"
    chat_format: str | None = None
    crop: bool = False
    adapter: Literal["none", "lora", "qlora"] = "none"
    lora_rank: int = 128
    lora_alpha: int = 256
    lora_dropout: float = 0.05
    tune_encoders: bool = False
    optimiser: Literal["adamw", "adamw-8bit"] = "adamw"
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    learning_rate: float = 2e-5
    small_parts_rate: float = 1.0
    warmup_share: float = 0.03
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    global_batch: int = 128
    micro_batch: int = 8
    epochs: float = 1.0
    steps: int | None = None
    batching: Literal["packed", "grouped"] = "packed"
    max_length: int = 2048
    row_length: int | None = None
    precision: Literal["bf16", "fp32"] = "bf16"
    gradient_checkpointing: bool = True
    seed: int = 0
    workers: int = 4
    scaled_decoding: bool = False
    checkpoint_every: int = 500
    keep: int = 2
    max_faulty_share: float = 0.01
    watch: Literal["auto", "none", "tensorboard", "trackio", "wandb"] = "auto"

    def __post_init__(self) -> None:
        for name in ABOVE_ZERO:
            if getattr(self, name) is None:
                continue
            if not getattr(self, name) > 0:
                raise RecipeError(f"{self.name}: {name} is {getattr(self, name)}; give more than 0")
        for name in ("warmup_share", "max_faulty_share", "lora_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"{self.name}: {name} is {getattr(self, name)}; give a share, 0 to 1")
        if min(self.workers, self.seed, self.weight_decay) < 0:
            raise RecipeError(f"{self.name}: workers, seed and weight_decay are 0 or more")
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
        if self.geometry != "base" and (self.adapter != "none" or self.stage == "align"):
            raise RecipeError(
                f"{self.name}: geometry {self.geometry} differs from the base's, beside which the result is loaded; "
                "assemble a base of that geometry"
            )

    def accumulation(self, world_size: int) -> int:
        """Passes of a device per optimiser step.

        Raises:
            RecipeError: The global batch does not divide among the devices.
        """
        passes, left = divmod(self.global_batch, self.micro_batch * world_size)
        if left:
            raise RecipeError(
                f"{self.name}: a global_batch of {self.global_batch} does not divide into passes of "
                f"{self.micro_batch} samples on {world_size} devices; change micro_batch or global_batch"
            )
        return passes

    def changed(self, settings: dict[str, str]) -> Self:
        """With settings of the command line, each checked against the type of its field.

        Raises:
            RecipeError: An unknown name, or a value of another type.
        """
        hints = get_type_hints(type(self))
        values: dict[str, Any] = {}
        for name, text in settings.items():
            if name not in hints or name == "name":
                near = difflib.get_close_matches(name, hints, n=3, cutoff=0.5)
                hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(hints))}"
                raise RecipeError(f"{self.name}: unknown setting {name!r}; {hint}")
            values[name] = parse_value(name, hints[name], text)
        return replace(self, **values)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they are saved with a run."""
        return asdict(self)

    def differences(self, saved: dict[str, Any]) -> list[str]:
        """Settings in which a saved recipe differs from this one, by name and both values."""
        ours = self.as_dict() | {"data": [asdict(part) for part in self.data]}
        return [
            f"{name} was {saved.get(name)!r} and is {ours.get(name)!r}"
            for name in sorted(ours.keys() | saved.keys())
            if name not in FREE and saved.get(name) != ours.get(name)
        ]


ABOVE_ZERO = (
    *("learning_rate", "small_parts_rate", "max_grad_norm", "global_batch", "micro_batch", "epochs", "steps"),
    *("max_length", "row_length", "checkpoint_every", "keep", "lora_rank", "lora_alpha"),
)
FREE = frozenset({"workers", "checkpoint_every", "keep", "watch", "max_faulty_share", "micro_batch"})
"""Settings that a run may be resumed with another value of: they have no part in what is learnt but for rounding."""


def parse_settings(words: list[str]) -> dict[str, str]:
    """Split `key=value` words.

    Raises:
        RecipeError: A word is none, or a key is given twice.
    """
    settings: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise RecipeError(f"{word!r} is no setting; give key=value, e.g. learning_rate=1e-5")
        if key in settings:
            raise RecipeError(f"{key} is given twice; give it once")
        settings[key] = value
    return settings


def parse_value(name: str, hint: Any, text: str) -> Any:
    """Read a value of a field's type.

    Raises:
        RecipeError: It is not one.
    """
    if get_origin(hint) in (Union, types.UnionType):
        if text == "none":
            return None
        (hint,) = (option for option in get_args(hint) if option is not type(None))
    if get_origin(hint) is Literal:
        if text not in get_args(hint):
            raise RecipeError(f"{name} is {text!r}; give one of {', '.join(get_args(hint))}")
        return text
    if get_origin(hint) is tuple:
        return tuple(DataPart.parse(part) for part in text.split(",") if part)
    if hint is bool:
        if text not in ("true", "false"):
            raise RecipeError(f"{name} is {text!r}; give true or false")
        return text == "true"
    return text if hint is str else _number(hint, name, text)


def _number(kind: Any, name: str, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise RecipeError(f"{name} is {text!r}; give {'a whole number' if kind is int else 'a number'}") from None


def settings_of(recipe: Recipe) -> list[tuple[str, str]]:
    """Every setting as it would be given on the command line, for reports."""
    shown = []
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        if field.name == "data":
            value = ",".join(
                part.file
                + (f"@{part.images}" if part.images else "")
                + (f"*{part.weight:g}" if part.weight != 1 else "")
                for part in recipe.data
            )
        plain = "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        shown.append((field.name, plain))
    return shown
