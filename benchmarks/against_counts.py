"""What an answer to one image costs, counted without computing anything.

Models and images are fake tensors, which have shapes and no data. Operations of matrix products, convolutions and
attention are counted as they run; of causal attention, only what lies below the diagonal. Memory is the highest sum of
tensors that live at the same time: scratch inside of the matrix library is not seen.
"""

import weakref
from dataclasses import dataclass
from typing import Any

import torch
from against_systems import OTHER_TOKEN, System, build_tied
from PIL import Image
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig


@dataclass(frozen=True)
class Count:
    """What one system costs with one language model and one image, in float32.

    Attributes:
        visual_tokens: tokens that show the image.
        prompt_tokens: all tokens of the prompt.
        encode_flops, prefill_flops: operations up to the visual tokens, and from there to the first logits; a
            multiplication and an addition are two.
        kv_bytes: keys and values of the prompt.
        weight_bytes: all weights.
        peak_bytes: most memory above the weights until the first logits.
        token_bytes: what one further token reads: weights of the language model, keys and values.
    """

    visual_tokens: int
    prompt_tokens: int
    encode_flops: int
    prefill_flops: int
    kv_bytes: int
    weight_bytes: int
    peak_bytes: int
    token_bytes: int

    @property
    def flops(self) -> int:
        return self.encode_flops + self.prefill_flops


def attention_flops(
    query: Any, key: Any, value: Any, dropout: float = 0.0, is_causal: bool = False, *_: Any, **__: Any
) -> int:
    """Operations of attention (b, heads, q, d) x (b, heads, k, d): two products of a row and a column per pair."""
    b, heads, q, d = query
    pairs = q * (q + 1) // 2 if is_causal else q * key[-2]
    return 2 * b * heads * pairs * (d + value[-1])


def count_flops() -> FlopCounterMode:
    """Counts the operations of what runs within it, attention on CPUs included."""
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return FlopCounterMode(display=False, custom_mapping={attention: attention_flops})


class LiveBytes(TorchDispatchMode):
    """Counts the memory of tensors that are made within it: `live` now, and `peak`."""

    def __init__(self, known: list[Tensor]) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.seen = weakref.WeakSet(tensor.untyped_storage() for tensor in known)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage()) not in self.seen:
                self.seen.add(storage)
                self.live += storage.nbytes()
                weakref.finalize(storage, self._free, storage.nbytes())
        self.peak = max(self.peak, self.live)
        return result

    def _free(self, size: int) -> None:
        self.live -= size


def input_shapes(system: System, image: Image.Image) -> dict[str, Any]:
    """Shapes of the pixels that a system makes of an image, and the values of its other inputs."""
    inputs = system.pixels(image)
    inputs.pop("pixel_attention_mask", None)  # all ones
    return {name: list(value.shape) if "pixel" in name else value.tolist() for name, value in inputs.items()}


def count(system: System, text: LlamaConfig, shapes: dict[str, Any]) -> Count:
    """Count what a system costs up to the first token, and for each further one, for inputs of some shapes."""
    with torch.device("meta"):  # not yet fake: some models read numbers from tensors while they are built
        model: Any = build_tied(system.build, text)
    with FakeTensorMode(), torch.inference_mode():
        weights = materialize(model)
        with LiveBytes(weights) as memory:
            pixels = {name: torch.zeros(value) if "pixel" in name else value for name, value in shapes.items()}
            with count_flops() as encoding:
                features, tokens = system.encode(model, pixels)
            ids = torch.full((1, len(tokens) + system.text_tokens(pixels)), OTHER_TOKEN)
            embeddings = model.get_input_embeddings()(ids)
            with count_flops() as prefill:
                output = language_model(model)(inputs_embeds=embeddings, use_cache=True)
                model.lm_head(output.last_hidden_state[:, -1:])
            del features  # kept until here, as in `generate`
        kv_bytes = sum(layer.keys.nbytes + layer.values.nbytes for layer in output.past_key_values.layers)
        table = 0 if text.tie_word_embeddings else model.get_input_embeddings().weight.nbytes
        read = sum(weight.nbytes for weight in {*language_model(model).parameters(), model.lm_head.weight}) - table
        return Count(
            visual_tokens=len(tokens),
            prompt_tokens=ids.shape[1],
            encode_flops=encoding.get_total_flops(),
            prefill_flops=prefill.get_total_flops(),
            kv_bytes=kv_bytes,
            weight_bytes=sum(weight.nbytes for weight in {*model.parameters()}),
            peak_bytes=memory.peak,
            token_bytes=read + kv_bytes,
        )


def materialize(model: torch.nn.Module) -> list[Tensor]:
    """Move a model from the meta device into the present tensor mode: the same shapes on the CPU, without values."""
    made: dict[int, Tensor] = {}  # by the tensor that is replaced, because weights may be tied
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, old in tensors.items():
                if old is not None:
                    if id(old) not in made:
                        new = torch.empty(old.shape, dtype=old.dtype)
                        made[id(old)] = torch.nn.Parameter(new) if isinstance(old, torch.nn.Parameter) else new
                    tensors[name] = made[id(old)]
    return list(made.values())


def language_model(model: Any) -> Any:
    """The language model of a system, without its head."""
    return model.model.text_model if hasattr(model.model, "text_model") else model.model.language_model
