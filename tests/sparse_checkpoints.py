"""Sparse checkpoints in the published layout at real sizes: their weights are zeros that take no disk space.

The layout is written here independently of the conversion tables, so that tests can compare the two.
"""

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Layout = dict[str, tuple[int, ...]]
ITEM_BYTES = {"BF16": 2, "F32": 4}

CONVNEXT_DEPTHS = {"B": (3, 3, 27, 3), "L": (3, 3, 27, 3), "XXL": (3, 4, 30, 3)}
CONVNEXT_WIDTHS = {"B": (128, 256, 512, 1024), "L": (192, 384, 768, 1536), "XXL": (384, 768, 1536, 3072)}


def language_model(fields: Mapping[str, Any]) -> Layout:
    """Llama, Gemma or Mixtral as older Transformers stored them."""
    hidden, inner, vocabulary = fields["hidden_size"], fields["intermediate_size"], fields["vocab_size"]
    head = fields.get("head_dim", hidden // fields["num_attention_heads"])
    queries, keys = fields["num_attention_heads"] * head, fields["num_key_value_heads"] * head
    layout: Layout = {"model.embed_tokens.weight": (vocabulary, hidden), "model.norm.weight": (hidden,)}
    if fields["model_type"] != "mgm_gemma":
        layout["lm_head.weight"] = (vocabulary, hidden)
    for number in range(fields["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        layout[f"{layer}.self_attn.q_proj.weight"] = (queries, hidden)
        layout[f"{layer}.self_attn.k_proj.weight"] = (keys, hidden)
        layout[f"{layer}.self_attn.v_proj.weight"] = (keys, hidden)
        layout[f"{layer}.self_attn.o_proj.weight"] = (hidden, queries)
        layout[f"{layer}.input_layernorm.weight"] = (hidden,)
        layout[f"{layer}.post_attention_layernorm.weight"] = (hidden,)
        if experts := fields.get("num_local_experts"):
            layout[f"{layer}.block_sparse_moe.gate.weight"] = (experts, hidden)
            for expert in range(experts):
                name = f"{layer}.block_sparse_moe.experts.{expert}"
                layout |= {f"{name}.w1.weight": (inner, hidden), f"{name}.w3.weight": (inner, hidden)}
                layout[f"{name}.w2.weight"] = (hidden, inner)
        else:
            layout |= {f"{layer}.mlp.{name}_proj.weight": (inner, hidden) for name in ("gate", "up")}
            layout[f"{layer}.mlp.down_proj.weight"] = (hidden, inner)
    return layout


def connector(hidden: int, low_res: int = 1024, high_res: int = 2880) -> Layout:
    """The connector: mining and projector."""
    layout: Layout = {}
    for name, width in (("query", low_res), ("aux", high_res), ("val", high_res)):
        part = f"model.vlm_uni_{name}_projector"
        layout |= {f"{part}.0.weight": (width,), f"{part}.0.bias": (width,)}
        layout |= {f"{part}.1.weight": (low_res, width), f"{part}.1.bias": (low_res,)}
    layout |= {"model.mm_projector.0.weight": (hidden, low_res), "model.mm_projector.0.bias": (hidden,)}
    return layout | {"model.mm_projector.2.weight": (hidden, hidden), "model.mm_projector.2.bias": (hidden,)}


def vit(prefix: str = "", layers: int = 24, width: int = 1024, patch: int = 14, image: int = 336) -> Layout:
    """CLIP's vision half, by default ViT-L/14-336."""
    layout: Layout = {
        "embeddings.class_embedding": (width,),
        "embeddings.patch_embedding.weight": (width, 3, patch, patch),
        "embeddings.position_embedding.weight": ((image // patch) ** 2 + 1, width),
    }
    for name in ("pre_layrnorm", "post_layernorm"):
        layout |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    for number in range(layers):
        layer = f"encoder.layers.{number}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            layout |= {f"{layer}.self_attn.{name}.weight": (width, width), f"{layer}.self_attn.{name}.bias": (width,)}
        for name in ("layer_norm1", "layer_norm2"):
            layout |= {f"{layer}.{name}.weight": (width,), f"{layer}.{name}.bias": (width,)}
        layout |= {f"{layer}.mlp.fc1.weight": (4 * width, width), f"{layer}.mlp.fc1.bias": (4 * width,)}
        layout |= {f"{layer}.mlp.fc2.weight": (width, 4 * width), f"{layer}.mlp.fc2.bias": (width,)}
    return {prefix + name: shape for name, shape in layout.items()}


def convnext(prefix: str = "", size: str = "L") -> Layout:
    """A ConvNeXt's trunk by timm's names."""
    widths, depths = CONVNEXT_WIDTHS[size], CONVNEXT_DEPTHS[size]
    layout: Layout = {"stem.0.weight": (widths[0], 3, 4, 4)}
    layout |= dict.fromkeys(("stem.0.bias", "stem.1.weight", "stem.1.bias"), (widths[0],))
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        if stage:
            before, name = widths[stage - 1], f"stages.{stage}.downsample"
            layout |= {f"{name}.0.weight": (before,), f"{name}.0.bias": (before,)}
            layout |= {f"{name}.1.weight": (width, before, 2, 2), f"{name}.1.bias": (width,)}
        for number in range(depth):
            block = f"stages.{stage}.blocks.{number}"
            layout |= {f"{block}.conv_dw.weight": (width, 1, 7, 7), f"{block}.conv_dw.bias": (width,)}
            layout |= {f"{block}.norm.weight": (width,), f"{block}.norm.bias": (width,), f"{block}.gamma": (width,)}
            layout |= {f"{block}.mlp.fc1.weight": (4 * width, width), f"{block}.mlp.fc1.bias": (4 * width,)}
            layout |= {f"{block}.mlp.fc2.weight": (width, 4 * width), f"{block}.mlp.fc2.bias": (width,)}
    return {prefix + name: shape for name, shape in layout.items()}


def published(fields: Mapping[str, Any]) -> Layout:
    """A published checkpoint that contains its ViT, but not its ConvNeXt."""
    layout = language_model(fields) | connector(fields["hidden_size"])
    return layout | vit("model.vision_tower.vision_tower.vision_model.")


def write_sparse(folder: Path, layout: Layout, dtype: str = "BF16", shard_bytes: int = 5 * 10**9) -> int:
    """Write an index and sparse shards, whose zeros take no disk space. Return the size of the weights, bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    filled = total = 0
    for name, shape in layout.items():
        size = math.prod(shape) * ITEM_BYTES[dtype]
        if filled + size > shard_bytes and shards[-1]:
            shards.append({})
            filled = 0
        shards[-1][name] = shape
        filled += size
        total += size
    weight_map = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _write_header(folder / file, shard, dtype)
        weight_map |= dict.fromkeys(shard, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return total


def _write_header(file: Path, shard: Layout, dtype: str) -> None:
    header, position = {}, 0
    for name, shape in shard.items():
        size = math.prod(shape) * ITEM_BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, position + size]}
        position += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as content:
        content.write(struct.pack("<Q", len(text)) + text)
        content.truncate(8 + len(text) + position)
