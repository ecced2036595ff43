"""Activation checkpointing for blocks of encoders that Transformers does not checkpoint itself."""

import copyreg
from functools import cache
from typing import Any

from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer


def support_checkpointing(blocks: nn.ModuleList) -> None:
    """Let `activation_checkpointing_enable` of the model include these blocks, which take one tensor each."""
    for block in blocks:
        block_class: Any = type(block)
        block.__class__ = _checkpointed(block_class)


@cache
def _checkpointed(block_class: Any) -> Any:
    """Derive a class of the same name, by which Transformers and FSDP find blocks."""
    # The base class replaces `forward` (from Transformers 5.23) or `__call__` (before) of classes that derive from it.
    fields = {"forward": block_class.forward, "__reduce_ex__": _reduce, "__module__": block_class.__module__}
    return type(block_class.__name__, (GradientCheckpointingLayer, block_class), fields)


def _reduce(block: Any, protocol: int) -> Any:
    """Pickle a block by the class that it was derived from, because its own is not found by its name."""
    return _empty, (type(block).__mro__[2],), block.__dict__


def _empty(block_class: Any) -> Any:
    return copyreg.__newobj__(_checkpointed(block_class))  # type: ignore[attr-defined]
