"""Plan of a new checkpoint: the source of each tensor, checked against the model before anything is written."""

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
    """A checkpoint to write.

    Args:
        config: Config of the model.
        tensors: Source of each tensor by its name in the new checkpoint: a tensor in a file, or one in memory. Written
            in this order.
        unused: Source keys that the model does not use, with the reason.
        loaded: Names of the tensors in memory that come from a source; the others in memory are initialized.
    """

    config: MiniGeminiConfig
    tensors: dict[str, Source]
    unused: dict[str, str] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)

    def drop(self, names: Iterable[str], why: str) -> None:
        """Leave out tensors, by their new names."""
        for name in list(names):
            source = self.tensors.pop(name)
            if isinstance(source, SourceTensor):
                self.unused[source.key] = why

    def finalize(self) -> None:
        """Leave out tensors that the model does not have, and check that the others fit.

        Raises:
            CheckpointError: Tensors are missing, unknown or mis-shaped; the message lists them.
        """
        self.drop(
            [name for name in self.tensors if _after_last_layer(name, self.config)], "after the last ViT layer in use"
        )
        if self.config.tie_word_embeddings:
            self.drop(self.tensors.keys() & {"lm_head.weight"}, "the head is tied to the embedding")
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
            summary = "; ".join(f"{len(names)} {what}: {listed(names)}" for what, names in issues.items() if names)
            raise CheckpointError(f"weights and config do not match: {summary}; use files of the same model")


@dataclass(frozen=True)
class ConversionReport:
    """What became of every tensor."""

    folder: Path
    chat_format: str
    dtype: torch.dtype
    parameters: int
    taken: int
    """Number of tensors that come from the sources."""
    initialized: list[str]
    """Names of the tensors that were initialized."""
    unused: Mapping[str, int]
    """Number of unused source tensors by reason."""

    @classmethod
    def of(cls, plan: ConversionPlan, folder: Path, chat_format: str, dtype: torch.dtype) -> Self:
        """Summarize a written plan."""
        in_memory = [name for name, source in plan.tensors.items() if isinstance(source, Tensor)]
        initialized = [name for name in in_memory if name not in plan.loaded]
        return cls(
            folder=folder,
            chat_format=chat_format,
            dtype=dtype,
            parameters=sum(torch.Size(source.shape).numel() for source in plan.tensors.values()),
            taken=len(plan.tensors) - len(initialized),
            initialized=initialized,
            unused=Counter(plan.unused.values()),
        )


def _after_last_layer(name: str, config: MiniGeminiConfig) -> bool:
    """Whether a tensor belongs to a ViT layer that never runs."""
    if config.vision_config.model_type != "clip_vision_model":
        return False
    match = re.match(re.escape(VIT) + r"\.encoder\.layers\.(\d+)\.", name)
    return match is not None and int(match[1]) >= config.vision_depth


def choose_dtype(name: str | None) -> torch.dtype:
    """Return the dtype of a short or long name, e.g. `bf16`.

    Raises:
        CheckpointError: The name is missing or unknown.
    """
    short = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
    chosen = DTYPES.get(short.get(str(name), str(name)))
    if chosen is None:
        raise CheckpointError(f"dtype {name!r} is unknown; use --dtype with one of {', '.join(DTYPES)}")
    return chosen
