"""What a step before the stages is made of."""

from collections.abc import Callable, Mapping, Sequence
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
    """What is learnt, from what, and what is left of it.

    Attributes:
        lesson: its forward takes a batch and gives the scalars `loss` and, by other names, figures to show beside it.
        parts: which of its parameters train, see `stages`.
        sample: the sample of a number; called in workers.
        collate: samples to a batch.
        save: write the result: all weights by their names in the lesson, and where to.
        start: load what the steps before left; raises `RecipeError` where that is not there.
    """

    module: nn.Module
    parts: Mapping[str, str]
    sample: Callable[[int], Any]
    collate: Callable[[Sequence[Any]], Batch]
    save: Callable[[Mapping[str, Tensor], Path], None]
    start: Callable[[], None] = lambda: None


def stack(samples: Sequence[Arrays]) -> Batch:
    """Samples of equal shapes as one batch."""
    return {key: torch.from_numpy(np.stack([sample[key] for sample in samples])) for key in samples[0]}


@dataclass(frozen=True)
class SavePart:
    """Write the module of this name in the lesson, by the names that its parameters have in itself."""

    name: str

    def __call__(self, weights: Mapping[str, Tensor], path: Path) -> None:
        prefix = f"{self.name}."
        tensors = {
            name.removeprefix(prefix): tensor.detach().cpu().contiguous()
            for name, tensor in weights.items()
            if name.startswith(prefix)
        }
        with atomic_write(path) as aside:
            save_tensors(tensors, aside)


def load_part(module: nn.Module, path: str, wanted_by: str) -> None:
    """Load what `SavePart` wrote.

    Raises:
        RecipeError: It is not there, or of another module.
    """
    from minigemini.training.recipe_registry import how_to_obtain

    if not Path(path).is_file():
        command = how_to_obtain(path)
        raise RecipeError(f"{wanted_by}: {path}: no such file{f'; make it with `{command}`' if command else ''}")
    try:
        check_tensors(Path(path))
        module.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError, DamagedFileError) as error:
        raise RecipeError(f"{wanted_by}: {path} is not what it starts from ({one_line(error)})") from None
