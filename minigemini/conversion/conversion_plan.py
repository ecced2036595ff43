"""What a new checkpoint will hold: where each tensor comes from, checked against the model before a byte is written."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from ..io.errors import CheckpointError, listed
from ..io.loading import stored_layout
from ..io.placement import DTYPES
from ..modeling import MiniGeminiConfig
from .foreign_weights import SourceTensor
from .tensor_names import VIT

Source = SourceTensor | Tensor


@dataclass
class ConversionPlan:
    """A checkpoint to be written.

    Args:
        config: of the model.
        tensors: by the name in the new checkpoint; a file's tensor, or one made here. Written in this order.
        unused: source keys that have no place in the model, with the reason.
    """

    config: MiniGeminiConfig
    tensors: dict[str, Source]
    unused: dict[str, str] = field(default_factory=dict)

    def drop(self, names: Iterable[str], why: str) -> None:
        """Leave tensors out, by the new names."""
        for name in list(names):
            source = self.tensors.pop(name)
            if isinstance(source, SourceTensor):
                self.unused[source.key] = why

    def settle(self) -> None:
        """Leave out what the model does not build, and check that all else fits it.

        Raises:
            CheckpointError: Tensors are missing, unknown or mis-shaped; it lists them all.
        """
        self.drop([name for name in self.tensors if _behind(name, self.config)], "behind the ViT layer that is used")
        if self.config.tie_word_embeddings:
            self.drop(self.tensors.keys() & {"lm_head.weight"}, "the head shares the embedding")
        expected = stored_layout(self.config, self.tensors)
        issues = {
            "missing": sorted(expected.keys() - self.tensors.keys()),
            "unknown": sorted(self.tensors.keys() - expected.keys()),
            "mis-shaped": [
                f"{name} is {list(source.shape)}, not {list(expected[name])}"
                for name, source in self.tensors.items()
                if name in expected and tuple(source.shape) != expected[name]
            ],
        }
        if any(issues.values()):
            said = "; ".join(f"{len(names)} {what}: {listed(names)}" for what, names in issues.items() if names)
            raise CheckpointError(f"weights and configs do not belong together: {said}; give those of one model")


@dataclass(frozen=True)
class ConversionReport:
    """What became of every tensor."""

    folder: Path
    chat_format: str
    dtype: torch.dtype
    parameters: int
    taken: int
    """Tensors that came from the sources."""
    initialized: list[str]
    """Tensors that were made here."""
    unused: Mapping[str, int]
    """Source tensors without a place in the model, counted by reason."""

    @classmethod
    def of(cls, plan: ConversionPlan, folder: Path, chat_format: str, dtype: torch.dtype) -> Self:
        """Sum up a plan that was written."""
        made = [name for name, source in plan.tensors.items() if isinstance(source, Tensor)]
        return cls(
            folder=folder,
            chat_format=chat_format,
            dtype=dtype,
            parameters=sum(torch.Size(source.shape).numel() for source in plan.tensors.values()),
            taken=len(plan.tensors) - len(made),
            initialized=made,
            unused=Counter(plan.unused.values()),
        )


def _behind(name: str, config: MiniGeminiConfig) -> bool:
    """Whether a tensor belongs to a ViT layer that is never run."""
    match = re.match(re.escape(VIT) + r"\.encoder\.layers\.(\d+)\.", name)
    return match is not None and int(match[1]) >= config.vision_depth


def choose_dtype(name: str | None) -> torch.dtype:
    """The dtype by its name, short or long.

    Raises:
        CheckpointError: There is none, or not this one.
    """
    short = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
    chosen = DTYPES.get(short.get(str(name), str(name)))
    if chosen is None:
        raise CheckpointError(f"dtype {name!r} is unknown; use --dtype with one of {', '.join(DTYPES)}")
    return chosen
