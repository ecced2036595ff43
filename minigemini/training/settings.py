"""Settings shared by all runs, and the parsing of `key=value` overrides."""

import difflib
import json
import math
import sys
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from .estimate.parameter_counts import ParameterCounts
    from .run_setup import RunSetup


T = TypeVar("T")
RENAMED = {
    "optimiser": "optimizer",
    "small_parts_rate": "connector_lr_multiplier",
    "begin_with": "init_from",
    "watch": "report_to",
    "keep": "keep_checkpoints",
    "checkpoint_every": "save_steps",
    "warmup_share": "warmup_ratio",
    "max_faulty_share": "max_bad_sample_ratio",
    "geometry": "tiling",
}
"""Names of settings in 0.1 and their current names; the old ones work for one release."""


class RecipeError(ValueError):
    """A recipe that does not exist or cannot run; the message is one line and names the fix."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Settings shared by all kinds of runs: optimization, checkpoints and tracking.

    Attributes:
        name: name of the recipe.
        optimizer: AdamW, or bitsandbytes' AdamW with 8-bit moments.
        adam_beta2: decay of the second moments.
        schedule: learning rate schedule after warmup.
        learning_rate: peak learning rate.
        connector_lr_multiplier: factor on the learning rate of mining and projector.
        warmup_ratio: share of the steps with a rising learning rate.
        weight_decay: weight decay of matrices.
        max_grad_norm: gradients are clipped to this norm.
        global_batch: samples per optimizer step on all devices together.
        micro_batch: samples per device and forward pass; gradients are accumulated up to the global batch.
        precision: `bf16` keeps trained weights in float32, computes in bfloat16, and keeps frozen weights in bfloat16
            (float32 on a CPU, where that is faster).
        seed: seed of sample order or sampling, new weights and dropout.
        workers: processes per device that read and encode samples.
        save_steps: optimizer steps between checkpoints.
        keep_checkpoints: number of newest checkpoints to keep.
        report_to: tracker for curves: `auto` is TensorBoard if installed; `none`, or a tracker's name.
    """

    name: str
    optimizer: Literal["adamw", "adamw-8bit"] = "adamw"
    adam_beta2: float = 0.999
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    learning_rate: float = 2e-5
    connector_lr_multiplier: float = 1.0
    warmup_ratio: float = 0.03
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    global_batch: int = 128
    micro_batch: int = 8
    precision: Literal["bf16", "fp32"] = "bf16"
    seed: int = 0
    workers: int = 4
    save_steps: int = 500
    keep_checkpoints: int = 2
    report_to: Literal["auto", "none", "tensorboard", "trackio", "wandb"] = "auto"

    KIND_KEY: ClassVar[str]
    """The field that identifies this kind of recipe in a file."""
    # Field names for validation; subclasses add their own.
    ABOVE_ZERO: ClassVar[tuple[str, ...]] = (
        *("learning_rate", "connector_lr_multiplier", "max_grad_norm", "global_batch", "micro_batch", "adam_beta2"),
        *("save_steps", "keep_checkpoints"),
    )
    SHARES: ClassVar[tuple[str, ...]] = ("warmup_ratio", "adam_beta2")
    # Settings that may differ when a run is resumed: they do not affect the result.
    FREE: ClassVar[frozenset[str]] = frozenset({"workers", "save_steps", "keep_checkpoints", "report_to"})

    def __post_init__(self) -> None:
        for name in self.ABOVE_ZERO:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise RecipeError(f"{self.name}: {name} is {value}; give more than 0")
        for name in self.SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise RecipeError(f"{self.name}: {name} is {getattr(self, name)}; give a share, 0 to 1")
        if min(self.workers, self.seed, self.weight_decay) < 0:
            raise RecipeError(f"{self.name}: workers, seed and weight_decay must not be negative")

    def accumulation(self, world_size: int) -> int:
        """Number of micro-batches per device and optimizer step.

        Raises:
            RecipeError: The global batch does not divide among the devices.
        """
        passes, left = divmod(self.global_batch, self.micro_batch * world_size)
        if left:
            raise RecipeError(
                f"{self.name}: a global_batch of {self.global_batch} does not divide into micro-batches of "
                f"{self.micro_batch} samples on {world_size} devices; change micro_batch or global_batch"
            )
        return passes

    def changed(self, settings: dict[str, str]) -> Self:
        """Apply command-line settings, parsed by the types of the fields.

        Raises:
            RecipeError: A name is unknown, or a value has the wrong type.
        """
        of_all = get_type_hints(type(self))
        hints = {field.name: of_all[field.name] for field in fields(self)}
        values: dict[str, Any] = {}
        for name, text in current_names(settings).items():
            if name not in hints or name == "name":
                near = difflib.get_close_matches(name, hints, n=3, cutoff=0.5)
                hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(hints))}"
                raise RecipeError(f"{self.name}: unknown setting {name!r}; {hint}")
            values[name] = parse_value(name, hints[name], text)
        return replace(self, **values)

    def summary(self) -> str:
        """One line for the list of recipes."""
        raise NotImplementedError

    def result_path(self, folder: Path) -> Path:
        """Path of a run's result: a weight file, an adapter folder or a checkpoint folder."""
        raise NotImplementedError

    def set_up(self, folder: Path, state: Any) -> "RunSetup":
        """Build the module and open the data of a run, on the rank of Accelerate's `state`.

        Raises:
            RecipeError: The recipe cannot run.
        """
        raise NotImplementedError

    def count_parameters(self, device: Any) -> "ParameterCounts":
        """Count the parameters of a run on a device, without reading weights.

        Raises:
            RecipeError: The base is missing.
        """
        raise NotImplementedError

    def run_length(self) -> tuple[int | None, int, str]:
        """Samples of an epoch (None if each is generated once), steps, and the reason if data cannot be read (else "").

        Raises:
            RecipeError: A data file is missing, and its number of samples is unknown.
        """
        raise NotImplementedError

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values, as saved with a run."""
        return asdict(self)

    def differences(self, saved: dict[str, Any]) -> list[str]:
        """Describe each setting that differs from a saved recipe, with both values.

        A setting that did not exist yet when the recipe was saved had its default.
        """
        defaults = {field.name: field.default for field in fields(self) if field.default is not MISSING}
        ours, saved = json.loads(json.dumps(self.as_dict())), defaults | current_names(saved, warn=False)
        return [
            f"{name} was {saved.get(name)!r} and is {ours.get(name)!r}"
            for name in sorted(ours.keys() | saved.keys())
            if name not in self.FREE and saved.get(name) != ours.get(name)
        ]

    def words(self) -> list[tuple[str, str]]:
        """All settings in command-line form; those specific to the kind of run come first."""
        shared = {field.name for field in fields(RunSettings)} - {"name"}
        names = sorted((field.name for field in fields(self)), key=lambda name: (name != "name", name in shared))
        return [(name, _word(getattr(self, name))) for name in names]


def parse_settings(words: list[str]) -> dict[str, str]:
    """Split `key=value` overrides.

    Raises:
        RecipeError: An override has no key or `=`, or a key is given twice.
    """
    settings: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise RecipeError(f"invalid override {word!r}: expected key=value, e.g. learning_rate=1e-5")
        if key in settings:
            raise RecipeError(f"{key} is given twice; give it once")
        settings[key] = value
    return settings


def current_names(settings: Mapping[str, T], warn: bool = True) -> dict[str, T]:
    """Replace setting names of 0.1 by their current names, with a warning for each."""
    renamed: dict[str, T] = {}
    for name, value in settings.items():
        current = RENAMED.get(name, name)
        if current in renamed or (current != name and current in settings):
            raise RecipeError(f"{name} and {current} are the same setting; give {current} alone")
        if warn and current != name:
            print(
                f"minigemini: setting {name} is now called {current}; the old name works in 0.2 only", file=sys.stderr
            )
        renamed[current] = value
    return renamed


def parse_value(name: str, hint: Any, text: str) -> Any:
    """Parse a value by the type of its field.

    Raises:
        RecipeError: The value does not have this type.
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
        return tuple(get_args(hint)[0].parse(part) for part in text.split(",") if part)
    if hint is bool:
        if text not in ("true", "false"):
            raise RecipeError(f"{name} is {text!r}; give true or false")
        return text == "true"
    return text if hint is str else parse_number(hint, name, text)


def parse_number(kind: Any, name: str, text: str) -> Any:
    """Parse a number.

    Raises:
        RecipeError: The text is not a finite number.
    """
    try:
        number = kind(text)
        if kind is float and not math.isfinite(number):
            raise ValueError
    except ValueError:
        raise RecipeError(f"{name} is {text!r}; give {'a whole number' if kind is int else 'a number'}") from None
    return number


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
