"""Small GGUF files: a writer of the format, and a language model of a few thousand weights with a byte vocabulary."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import pre_tokenizers

F32, Q4_1, Q8_0 = 0, 3, 8
_BLOCKS = {F32: (1, 4, ""), Q4_1: (32, 20, "ee"), Q8_0: (32, 34, "e")}
"""Weights and bytes of a block, and the float16 values at its start."""
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "ĠĠ"]
METADATA: dict[str, Any] = {
    "general.architecture": "llama",
    "llama.vocab_size": len(TOKENS),
    "llama.embedding_length": 32,
    "llama.feed_forward_length": 64,
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.context_length": 512,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.freq_base": 1e5,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.token_type": [3, 3, 3, *[1] * (len(TOKENS) - 3)],
    "tokenizer.ggml.merges": ["Ġ Ġ"],
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.padding_token_id": 2,
    "tokenizer.chat_template": "{{ messages[0]['content'] }}",
}


def random_blocks(seed: int, kind: int, shape: tuple[int, ...]) -> bytes:
    """Bytes of a tensor: random weights with moderate scales."""
    generator = np.random.default_rng(seed)
    weights, size, scales = _BLOCKS[kind]
    count = int(np.prod(shape)) // weights
    if kind == F32:
        return generator.normal(1, 0.1, count).astype("<f4").tobytes()
    blocks = generator.integers(0, 256, (count, size), dtype=np.uint8)
    for number, _ in enumerate(scales):
        values = generator.normal(0, 0.02, count).astype("<f2")
        blocks[:, 2 * number : 2 * number + 2] = values.view(np.uint8).reshape(count, 2)
    return blocks.tobytes()


def write_gguf(
    path: Path, metadata: Mapping[str, Any], tensors: Mapping[str, tuple[int, tuple[int, ...], bytes]]
) -> Path:
    """Write a GGUF file; a tensor is its type, its shape with rows first, and its bytes."""
    header = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    for key, value in metadata.items():
        header.append(_string(key) + _typed(value))
    offset = 0
    for name, (kind, shape, data) in tensors.items():
        header.append(_string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1]))
        header.append(struct.pack("<IQ", kind, offset))
        offset += -(-len(data) // 32) * 32
    start = b"".join(header)
    path.write_bytes(_padded(start) + b"".join(_padded(data) for _, _, data in tensors.values()))
    return path


def write_language_model(path: Path) -> Path:
    """Write a language model of two layers and 32 channels, in the types that SmolLM2's file has."""
    shapes: dict[str, tuple[int, tuple[int, ...]]] = {
        "token_embd": (Q8_0, (len(TOKENS), 32)),
        "output_norm": (F32, (32,)),
    }
    for layer in range(2):
        rows = {"attn_q": 32, "attn_k": 16, "attn_v": 16, "attn_output": 32, "ffn_gate": 64, "ffn_up": 64}
        shapes |= {f"blk.{layer}.{name}": (Q4_1, (count, 32)) for name, count in rows.items()}
        shapes |= {f"blk.{layer}.{name}": (F32, (32,)) for name in ("attn_norm", "ffn_norm")}
        shapes[f"blk.{layer}.ffn_down"] = (Q4_1, (32, 64))
    tensors = {
        f"{name}.weight": (kind, shape, random_blocks(seed, kind, shape))
        for seed, (name, (kind, shape)) in enumerate(shapes.items())
    }
    return write_gguf(path, METADATA, tensors)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 32)


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _typed(value: Any) -> bytes:
    if isinstance(value, list):
        items = [_typed(item) for item in value]
        return struct.pack("<I", 9) + items[0][:4] + struct.pack("<Q", len(items)) + b"".join(i[4:] for i in items)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _string(value)
    return struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value)
