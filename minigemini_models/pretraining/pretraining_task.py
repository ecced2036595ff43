"""The parts of a pretraining step, and how its output is saved and loaded."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from minigemini.data.packing import Batch
from minigemini.io.atomic_write import atomic_write
from minigemini.io.errors import one_line
from minigemini.io.hashes import DamagedFileError, check_tensors, save_tensors
from minigemini.training.settings import RecipeError

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class PretrainingTask:
    """A module to train, its data and its output.

    Attributes:
        module: its forward takes a batch and returns the scalar `loss` and other scalars to log.
        parts: regular expressions of the trainable parameters, see `training.trainable`.
        sample: returns the sample of a number; called in workers.
        collate: combines samples into a batch.
        save: writes the output, given all weights by their names in `module` and a path.
        validate: returns figures of the trained module for the report.
        start: loads the output of earlier steps; raises `RecipeError` if it is missing.
    """

    module: nn.Module
    parts: Mapping[str, str]
    sample: Callable[[int], Any]
    collate: Callable[[Sequence[Any]], Batch]
    save: Callable[[Mapping[str, Tensor], Path], None]
    start: Callable[[], None] = lambda: None
    validate: Callable[[], Mapping[str, float]] = dict


def stack(samples: Sequence[Arrays]) -> Batch:
    """Stack samples of equal shapes into a batch."""
    return {key: torch.from_numpy(np.stack([sample[key] for sample in samples])) for key in samples[0]}


@dataclass(frozen=True)
class SaveParts:
    """Save some submodules in one file.

    Attributes:
        prefixes: what names of parameters begin with in the file, by what they begin with in the task's module.
    """

    prefixes: Mapping[str, str]

    def __call__(self, weights: Mapping[str, Tensor], path: Path) -> None:
        tensors = {
            f"{saved}{name.removeprefix(prefix)}": tensor.detach().cpu().contiguous()
            for prefix, saved in self.prefixes.items()
            for name, tensor in weights.items()
            if name.startswith(prefix)
        }
        with atomic_write(path) as temporary:
            save_tensors(tensors, temporary)


def load_part(module: nn.Module, path: str, recipe_name: str, names: Collection[str] | None = None) -> None:
    """Load a file of weights into a module.

    Args:
        module: the module.
        path: the file, as `SaveParts` writes it.
        recipe_name: name for errors.
        names: the weights of the module that the file must hold; by default all.

    Raises:
        RecipeError: the file is missing or belongs to another module.
    """
    from minigemini.training.recipe_registry import how_to_obtain

    if not Path(path).is_file():
        command = how_to_obtain(path)
        raise RecipeError(f"{recipe_name}: {path}: no such file{f'; create it with `{command}`' if command else ''}")
    try:
        check_tensors(Path(path))
        weights = load_file(path)
        if names is not None and set(names) != weights.keys():
            raise RuntimeError(f"{len(names)} weights expected, {len(weights)} found")
        module.load_state_dict(weights, strict=names is None)
    except (SafetensorError, RuntimeError, DamagedFileError) as error:
        raise RecipeError(f"{recipe_name}: {path} does not fit this recipe ({one_line(error)})") from None
