"""What every run is told, whatever it learns: how it optimises, and how settings are read from `key=value` words."""

import difflib
import json
import sys
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
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
"""Settings by their names of 0.1, which work for one release."""


class RecipeError(ValueError):
    """A recipe that does not exist or cannot run; the message is one line and says what to do."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a run optimises, and what it keeps.

    Attributes:
        name: by which it is run.
        optimiser: AdamW, or bitsandbytes' with moments in 8 bits.
        adam_beta2: decay of the second moments.
        schedule: of the learning rate after the warm-up.
        learning_rate: its peak.
        connector_lr_multiplier: mining's and the projector's learning rate, as a multiple.
        warmup_ratio: share of the steps that warm up.
        weight_decay: of matrices.
        max_grad_norm: gradients are clipped to this norm.
        global_batch: samples per optimiser step, of all devices together.
        micro_batch: samples per device and pass; what is left of the global batch is accumulated.
        precision: `bf16` keeps what trains in float32, multiplies in bfloat16, and holds what is frozen in bfloat16
            (float32 on a CPU, where that is faster).
        seed: of the order of samples, or of which are drawn, of new weights and of dropout.
        workers: processes that read and encode ahead, per device.
        save_steps: optimiser steps between checkpoints.
        keep: how many of the newest checkpoints stay.
        watch: where curves are shown: `auto` is TensorBoard if it is installed; `none`, or a name.
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
    """The field that tells this kind of recipe from the others."""
    # Names of fields, for the checks; a kind of run adds those of its own.
    ABOVE_ZERO: ClassVar[tuple[str, ...]] = (
        *("learning_rate", "connector_lr_multiplier", "max_grad_norm", "global_batch", "micro_batch", "adam_beta2"),
        *("save_steps", "keep_checkpoints"),
    )
    SHARES: ClassVar[tuple[str, ...]] = ("warmup_ratio", "adam_beta2")
    # A run may be resumed with another value of these: they have no part in what is learnt.
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
            raise RecipeError(f"{self.name}: workers, seed and weight_decay are 0 or more")

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
        """One line for a list of recipes."""
        raise NotImplementedError

    def result_path(self, folder: Path) -> Path:
        """What a run in a folder leaves: a file of some parts, an adapter's folder or a checkpoint's."""
        raise NotImplementedError

    def set_up(self, folder: Path, state: Any) -> "RunSetup":
        """Build and open all that a run needs, on the rank that Accelerate's `state` is of.

        Raises:
            RecipeError: It cannot run.
        """
        raise NotImplementedError

    def count_parameters(self, device: Any) -> "ParameterCounts":
        """Count what is built on a device, without reading weights.

        Raises:
            RecipeError: What it starts from is not here.
        """
        raise NotImplementedError

    def run_length(self) -> tuple[int | None, int, str]:
        """Samples of an epoch, None where each is made anew; steps of the run; and why its data cannot be read, if so.

        Raises:
            RecipeError: A file of samples is not here, and its size is not known.
        """
        raise NotImplementedError

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they are saved with a run."""
        return asdict(self)

    def differences(self, saved: dict[str, Any]) -> list[str]:
        """Settings in which a saved recipe differs from this one, by name and both values."""
        ours, saved = json.loads(json.dumps(self.as_dict())), current_names(saved, warn=False)
        return [
            f"{name} was {saved.get(name)!r} and is {ours.get(name)!r}"
            for name in sorted(ours.keys() | saved.keys())
            if name not in self.FREE and saved.get(name) != ours.get(name)
        ]

    def words(self) -> list[tuple[str, str]]:
        """Every setting as it would be given on the command line, for reports; what is a kind's own comes first."""
        shared = {field.name for field in fields(RunSettings)} - {"name"}
        names = sorted((field.name for field in fields(self)), key=lambda name: (name != "name", name in shared))
        return [(name, _word(getattr(self, name))) for name in names]


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


def current_names(settings: Mapping[str, T], warn: bool = True) -> dict[str, T]:
    """Settings whose names are those of 0.1 under their current ones, with one line of warning for each."""
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
        return tuple(get_args(hint)[0].parse(part) for part in text.split(",") if part)
    if hint is bool:
        if text not in ("true", "false"):
            raise RecipeError(f"{name} is {text!r}; give true or false")
        return text == "true"
    return text if hint is str else parse_number(hint, name, text)


def parse_number(kind: Any, name: str, text: str) -> Any:
    """Read a number.

    Raises:
        RecipeError: It is none.
    """
    try:
        return kind(text)
    except ValueError:
        raise RecipeError(f"{name} is {text!r}; give {'a whole number' if kind is int else 'a number'}") from None


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
