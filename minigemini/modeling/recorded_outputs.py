"""Records what an encoder returns beside its features: hidden states and attention weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Recorded = dict[str, tuple[Tensor, ...]]


@contextmanager
def recorded_outputs(encoder: nn.Module, **requested: bool) -> Iterator[Recorded]:
    """Request outputs of the calls of an encoder, and record them under their names; several calls are concatenated.

    Kinds of encoders return only features (`EncoderKind.encode_tokens`), so the arguments are added to the calls of
    the module itself.

    Args:
        encoder: An encoder of Transformers. Other encoders, and those whose parts are called one by one, give nothing.
        **requested: Arguments of the encoder, such as `output_hidden_states=True`, whose output is `hidden_states`.
    """
    recorded: Recorded = {}
    arguments = {name: True for name, is_requested in requested.items() if is_requested}
    if not arguments:
        yield recorded
        return

    def add_arguments(_: nn.Module, args: Any, kwargs: Any) -> Any:
        return args, {**kwargs, **arguments}

    def record(_: nn.Module, args: Any, outputs: Any) -> None:
        for name in (argument.removeprefix("output_") for argument in arguments):
            if (values := getattr(outputs, name, None)) is not None:
                calls = [recorded[name], values] if name in recorded else [values]
                recorded[name] = tuple(torch.cat(layer) for layer in zip(*calls, strict=True))

    hooks = [encoder.register_forward_pre_hook(add_arguments, with_kwargs=True), encoder.register_forward_hook(record)]
    try:
        yield recorded
    finally:
        for hook in hooks:
            hook.remove()
