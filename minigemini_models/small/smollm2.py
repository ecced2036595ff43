"""SmolLM2-135M-Instruct from its GGUF file: weights, config and tokenizer as Transformers has them.

Transformers' own GGUF loader needs two more packages, and leaves the splitting of digits out of the tokenizer.
"""

import re
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import GenerationConfig, LlamaConfig, PreTrainedTokenizerFast

from minigemini.conversion.gguf import Gguf, read_gguf
from minigemini.io.atomic_write import atomic_write
from minigemini.io.cache import writing_to_cache
from minigemini.io.folder_lock import output_lock
from minigemini.io.hashes import write_sums

VERSION = 1
"""To be raised when the files that `write_smollm2` writes change."""
_NAMES = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""Names of llama.cpp, and those of Transformers' `LlamaModel`."""
_NAME = re.compile(r"(?:blk\.(\d+)\.)?(\w+)\.weight")
_CONTROL = 3
"""Token type of control tokens in GGUF."""


def smollm2_weights(gguf: Gguf) -> dict[str, Tensor]:
    """Dequantize the weights under the names of `LlamaModel`, in bfloat16. The head is tied to the embedding."""
    heads = {"attn_q": gguf.metadata["llama.attention.head_count"]}
    heads["attn_k"] = gguf.metadata["llama.attention.head_count_kv"]
    weights = {}
    for name, stored in gguf.tensors.items():
        match = _NAME.fullmatch(name)
        assert match is not None, name
        layer = f"layers.{match[1]}." if match[1] is not None else ""
        weight = torch.from_numpy(stored.load()).to(torch.bfloat16)
        if match[2] in heads:
            # llama.cpp rotates neighboring channels, and Transformers those half a head apart.
            weight = rearrange(weight, "(head half two) c -> (head two half) c", head=heads[match[2]], two=2)
        weights[f"{layer}{_NAMES[match[2]]}.weight"] = weight.contiguous()
    return weights


def smollm2_config(gguf: Gguf) -> LlamaConfig:
    """The config of `LlamaForCausalLM`."""
    fields = gguf.metadata
    return LlamaConfig(
        vocab_size=fields["llama.vocab_size"],
        hidden_size=fields["llama.embedding_length"],
        intermediate_size=fields["llama.feed_forward_length"],
        num_hidden_layers=fields["llama.block_count"],
        num_attention_heads=fields["llama.attention.head_count"],
        num_key_value_heads=fields["llama.attention.head_count_kv"],
        max_position_embeddings=fields["llama.context_length"],
        rms_norm_eps=round(fields["llama.attention.layer_norm_rms_epsilon"], 12),
        rope_parameters={"rope_type": "default", "rope_theta": fields["llama.rope.freq_base"]},
        bos_token_id=fields["tokenizer.ggml.bos_token_id"],
        eos_token_id=fields["tokenizer.ggml.eos_token_id"],
        pad_token_id=fields["tokenizer.ggml.padding_token_id"],
        tie_word_embeddings=True,
        architectures=["LlamaForCausalLM"],
        dtype=torch.bfloat16,
    )


def smollm2_tokenizer(gguf: Gguf) -> PreTrainedTokenizerFast:
    """The tokenizer: bytes, pairs merged as in GPT-2, each digit alone (llama.cpp calls it `smollm`)."""
    fields = gguf.metadata
    tokens: list[str] = fields["tokenizer.ggml.tokens"]
    merges: Any = [tuple(pair.split(" ")) for pair in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = zip(tokens, fields["tokenizer.ggml.token_type"], strict=True)
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token, kind in kinds if kind == _CONTROL]
    )
    named = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=fields["tokenizer.chat_template"],
        model_max_length=fields["llama.context_length"],
        **{f"{ours}_token": tokens[fields[f"tokenizer.ggml.{theirs}_token_id"]] for ours, theirs in named.items()},
    )


def write_smollm2(file: Path, folder: Path) -> None:
    """Write the language model as a checkpoint folder, atomically; nothing if another process has written it.

    Raises:
        CheckpointError: The file is damaged, or the folder cannot be written.
        FolderInUseError: Another process is writing it.
    """
    with writing_to_cache(folder), output_lock(folder):
        if folder.is_dir():
            return
        gguf = read_gguf(file)
        config = smollm2_config(gguf)
        weights = {f"model.{name}": weight for name, weight in smollm2_weights(gguf).items()}
        with atomic_write(folder) as aside:
            config.save_pretrained(aside)
            save_file(weights, aside / "model.safetensors", metadata={"format": "pt"})
            GenerationConfig.from_model_config(config).save_pretrained(aside)
            smollm2_tokenizer(gguf).save_pretrained(aside)
            write_sums(aside)
